"""gunicorn with each kind of worker: rotations under load, workers that are replaced, and a reload."""

import re
import signal
import sys
import textwrap
import threading

import pytest
import requests

from tests.conftest import SECRET

pytestmark = pytest.mark.matrix

APPLICATION = """
    from tests.processes.calling import call, new_client

    client = new_client()

    def application(environ, start_response):
        body = str(call(client)[0]).encode("ascii")
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
"""
CONFIGURATION = """
    bind = "127.0.0.1:0"
    graceful_timeout = 30
    control_socket_disable = True  # it would be in the home directory
"""
# gevent has to patch before the application is imported.
PATCHED = """
    from gevent import monkey
    monkey.patch_all()
"""
KINDS = {
    "sync": ["--workers", "2"],
    "sync of 4": ["--workers", "4"],
    "gthread": ["--worker-class", "gthread", "--threads", "8", "--workers", "2"],
    "gevent": ["--worker-class", "gevent", "--workers", "2"],
}


class Server:
    """A running gunicorn.

    Attributes:
        program: the process of its arbiter.
    """

    def __init__(self, program, until):
        self.program = program
        self._until = until
        until(lambda: self._listening() or program.process.poll() is not None)
        assert self._listening(), program.problems()
        self._url = self._listening().group(1)

    def _listening(self):
        return re.search(r"Listening at: (http://[0-9.:]+)", self.program.problems())

    def booted(self):
        """Return the process ids of all workers that were started."""
        return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.program.problems())]

    def get(self):
        """Make a request, for which a worker calls the service, and return the id of the worker's process.

        Raises:
            requests.RequestException: the request failed.
        """
        answer = requests.get(self._url, timeout=60)
        answer.raise_for_status()
        return int(answer.text)

    def reach(self, processes):
        """Make requests until each of the processes has answered one."""
        missing = set(processes)

        def one_more():
            missing.discard(self.get())
            return not missing

        self._until(one_more)

    def stop(self):
        self.program.process.send_signal(signal.SIGTERM)
        assert self.program.ends() == 0, self.program.problems()
        # The SDK's __del__ may fail when a worker with greenlets ends.
        assert "aliyun_sdk_secretsmanager" not in self.program.problems()


class Load:
    """Threads that make requests until the context ends.

    Attributes:
        problems: the errors of the requests that failed.
        answered: the process ids from the answers of the others.
    """

    def __init__(self, server, threads=4):
        self._server = server
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        self.problems = []
        self.answered = []

    def _run(self):
        while not self._over.is_set():
            try:
                self.answered.append(self._server.get())
            except Exception as error:
                self.problems.append(error)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info):
        self._over.set()
        for thread in self._threads:
            thread.join(60)


@pytest.fixture
def serve(start, tmp_path, until):
    (tmp_path / "application.py").write_text(textwrap.dedent(APPLICATION))

    def serve_with(*options):
        configuration = PATCHED * ("gevent" in options) + CONFIGURATION
        (tmp_path / "gunicorn.conf.py").write_text(textwrap.dedent(configuration))
        command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "application"]
        return Server(start(command + list(options)), until)

    return serve_with


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "no preload"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_rotations_under_load(serve, cloud, log, until, kind, preload):
    """Workers that are forked after the first read have its key. A rotation costs one fetch in each process."""
    server = serve(*(KINDS[kind] + ["--preload"] * preload))
    count = int(KINDS[kind][-1])
    until(lambda: len(server.booted()) == count)
    workers = set(server.booted())
    server.reach(workers)
    first_reads = 1 if preload else count
    assert log.fetches() == first_reads
    keys = [cloud.secret(SECRET).current.access_key_id]

    with Load(server) as load:
        for _ in range(2):
            keys.append(cloud.rotate(SECRET).access_key_id)
            until(lambda: log.accepted(keys[-1]) == workers)

    server.stop()
    assert load.problems == []
    assert set(load.answered) == workers
    assert log.rejected() == {(worker, key) for worker in workers for key in keys[:-1]}
    assert log.fetches() == first_reads + len(log.rejected())


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "no preload"])
@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_workers_made_anew_over_rotations(serve, cloud, log, until, kind, preload):
    """``--max-requests``: with ``--preload`` new workers begin with the arbiter's key, even if that is old."""
    server = serve(*(KINDS[kind] + ["--max-requests", "30"] + ["--preload"] * preload))

    with Load(server, 2) as load:
        for count in (4, 6):
            until(lambda: len(server.booted()) >= count)
            cloud.rotate(SECRET)
        until(lambda: len(server.booted()) >= 8)

    server.stop()
    # Old gunicorns (21 and 23) drop connections of a gthread worker that ends, whatever the application.
    assert [problem for problem in load.problems
            if kind != "gthread" or not isinstance(problem, requests.ConnectionError)] == []
    first_reads = log.fetches() - len(log.rejected())
    assert first_reads == 1 if preload else 2 < first_reads <= len(server.booted())


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "no preload"])
def test_reload(serve, cloud, log, until, preload):
    """At a HUP other workers take over, and no request fails."""
    server = serve(*(KINDS["sync"] + ["--preload"] * preload))
    until(lambda: len(server.booted()) == 2)
    former = set(server.booted())
    server.reach(former)

    with Load(server, 2) as load:
        cloud.rotate(SECRET)
        server.program.process.send_signal(signal.SIGHUP)
        until(lambda: len(server.booted()) == 4)
        new = set(server.booted()) - former
        last = cloud.rotate(SECRET).access_key_id
        until(lambda: new <= log.accepted(last))

    server.stop()
    assert load.problems == []
    assert log.fetches() == (1 if preload else 4) + len(log.rejected())
