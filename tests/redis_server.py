"""A real Redis for tests: ``redis-server`` on a free port of the loopback interface, without files."""

import random
import shutil
import signal
import socket
import subprocess
import tempfile

import redis

from tests.conftest import wait_until


def free_port():
    """Return a port that no server has, and that no system gives to a socket that asks for any port.

    A port that the system picked could go to another test's socket before the server has it, or between its end and
    its next start.
    """
    while True:
        port = random.SystemRandom().randrange(10000, 16000)
        with socket.socket() as listening:
            try:
                listening.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class RedisServer:
    """The server, which is started at once.

    Args:
        options: those of the command line, without the dashes.

    Attributes:
        port: its port. A server that is started again has the same one.
        url: its URL, as ``shared_store_url`` takes it.
        client: a client of the test's.
    """

    def __init__(self, *options):
        self.port = free_port()
        self.url = "redis://127.0.0.1:{}/0".format(self.port)
        self.directory = tempfile.mkdtemp()
        self._options = options
        self._process = None
        self.client = redis.Redis(port=self.port)
        self.start()

    def start(self):
        """Start the server, empty."""
        arguments = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", self.directory, "--port"]
        self._process = subprocess.Popen(
            arguments + [str(self.port)] + list(self._options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers)

    def kill(self):
        """Kill the server as ``kill -9`` does, which loses all that it holds."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        """Stop the process for a while: it keeps its connections, and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def close(self):
        self.client.close()
        self.kill()
        shutil.rmtree(self.directory)

    def commands(self, name):
        """Return how often a command was carried out."""
        return self.client.info("commandstats").get("cmdstat_" + name, {}).get("calls", 0)

    def _answers(self):
        assert self._process.poll() is None, "redis-server ended at once; another program may have taken its port"
        try:
            return self.client.ping()
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False
