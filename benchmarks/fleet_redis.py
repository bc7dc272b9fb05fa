"""What a real Redis must bear for the shared store: memory, CPU for each operation, and what an announcement costs.

Run it with ``python -m benchmarks.fleet_redis``; ``nox -s fleet`` does so, too. It needs ``redis-server``. The commands
are those of the product. The CPU is what Redis itself counts, so that a busy machine changes it little.
"""

import contextlib
import json
import selectors
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from typing import Any, Callable, Dict, Iterator, NamedTuple, Sequence, Tuple

import redis

from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import Probe, Share, Take
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Position
from aliyun_sdk_secretsmanager_common_plugin.settings import SharedStoreSettings
from aliyun_sdk_secretsmanager_common_plugin.stores.redis_connection import RedisConnection
from aliyun_sdk_secretsmanager_common_plugin.stores.redis_store import RedisStore

SECRET = "fleet/application-key"
# An answer of GetSecretValue with all that the product keeps of it.
ANSWER = {
    "SecretName": SECRET,
    "VersionId": "11111111-2222-3333-4444-555555555555",
    "SecretData": json.dumps({"AccessKeyId": "LTAI5t" + 18 * "A", "AccessKeySecret": 30 * "s",
                              "GenerateTimestamp": "2024-01-01T00:00:00Z"}),
    "SecretDataType": "text",
    "CreateTime": "2024-01-01T00:00:00Z",
    "SecretType": "RAMCredentials",
    "AutomaticRotation": "Enabled",
    "ExtendedConfig": json.dumps({"SecretSubType": "RamUser", "UserName": "fleet-application"}),
    "RotationInterval": "604800s",
    "NextRotationDate": "2024-01-08T00:00:00Z",
}
CLIENTS = 50  # connections that ask at the same time
ROUNDS = 100  # commands of each connection
SUBSCRIBERS = (100, 1000, 5000, 10000)
ANNOUNCEMENTS = 20
LATER = 15.0  # seconds after which Redis has given back what a new connection took


class Told(NamedTuple):
    """What an announcement costs.

    Attributes:
        subscribers: how many connections hear it.
        cpu: seconds of Redis.
        blocked: seconds until Redis answered another connection meanwhile.
        all_have_it: seconds until the last subscriber had it. This program takes a part of them.
        memory: bytes of Redis for a connection that is new.
        later: the same after some seconds.
    """

    subscribers: int
    cpu: float
    blocked: float
    all_have_it: float
    memory: float
    later: float


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """Run a Redis that keeps nothing on disk; yield its URL.

    Raises:
        SystemExit: it is not installed.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("there is no redis-server; install it, for instance with: apt-get install redis-server")
    directory = tempfile.mkdtemp()
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory,
         "--maxclients", "15000", "--tcp-backlog", "4096"], stdout=subprocess.DEVNULL)
    try:
        with contextlib.closing(redis.Redis(host="127.0.0.1", port=port)) as client:
            until = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.02)
        yield "redis://127.0.0.1:{}/0".format(port)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory)


class Recorder:
    """Connections of a worker that keep a command instead of sending it."""

    has_answered = True

    def get(self, *_: Any) -> "Recorder":
        """Be the connection."""
        return self

    def call(self, *command: Any) -> None:
        """Keep a command."""
        self.command = command
        raise redis.ResponseError("kept")


def command_of(store: RedisStore, action: Any) -> Tuple[Any, ...]:
    """Return the command that an action sends.

    Args:
        store: the store.
        action: a ``Take``, ``Share`` or ``Probe``.
    """
    recorder = Recorder()
    store.run(action, recorder)  # type: ignore[arg-type]
    return recorder.command


def position_of(reply: Sequence[Any]) -> Position:
    """Return the position that a ``Take`` brought."""
    return Position(reply[1].decode(), int(reply[2]), int(reply[3]))


def cpu_of(client: Any) -> float:
    """Return the seconds of CPU that Redis has used."""
    info = client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


def measured(client: Any, connections: Sequence[RedisConnection], commands: Callable[[], Tuple[Any, ...]]) -> float:
    """Return the seconds of CPU that Redis takes for a command.

    Args:
        client: asks Redis what it has used.
        connections: send the commands, all at the same time.
        commands: returns a command.
    """
    before = cpu_of(client)
    for _ in range(ROUNDS):
        for connection in connections:
            connection.send(*commands())
        for connection in connections:
            connection.receive()
    return (cpu_of(client) - before) / (ROUNDS * len(connections))


def operations(url: str) -> Dict[str, float]:
    """Return the seconds of CPU of Redis for each operation of the product, and bytes of memory for a secret.

    Args:
        url: where Redis is.
    """
    settings = SharedStoreSettings(url, "the fleet's password", timeout=30.0)
    store, key = RedisStore(settings, 3600.0), parse_secret(SECRET, ANSWER)
    figures: Dict[str, float] = {}
    with contextlib.closing(redis.Redis.from_url(url)) as client, contextlib.ExitStack() as stack:
        connections = [RedisConnection(settings) for _ in range(CLIENTS)]
        for connection in connections:
            stack.callback(connection.close)
            connection.call("PING")
        take = command_of(store, Take(1, SECRET, None, -1.0, 1.0))
        first = position_of(client.execute_command(*take))
        client.execute_command(*command_of(store, Share(1, SECRET, key, first)))
        hashes = [name for name in client.scan_iter() if b":lease" not in name]
        figures["memory of a secret"] = client.memory_usage(hashes[0], samples=0)
        figures["PING"] = measured(client, connections, lambda: ("PING",))
        found = command_of(store, Take(1, SECRET, None, 1e9, 1.0))
        figures["Take that finds an answer"] = measured(client, connections, lambda: found)
        figures["Take that brings a position"] = measured(client, connections, lambda: take)
        shares = [command_of(store, Share(1, SECRET, key, first._replace(number=10 ** 6 + number)))
                  for number in range(ROUNDS * CLIENTS)]
        each = iter(shares)
        figures["Share without subscribers"] = measured(client, connections, lambda: next(each))
        probe = command_of(store, Probe(1))
        figures["Probe"] = measured(client, connections, lambda: probe)
        before = cpu_of(client)
        for _ in range(ROUNDS):
            for connection in [RedisConnection(settings) for _ in range(10)]:
                connection.call("PING")
                connection.close()
        figures["connecting, and a PING"] = (cpu_of(client) - before) / (10 * ROUNDS)
    return figures


def told(url: str, subscribers: int) -> Told:
    """Return what an announcement costs.

    Args:
        url: where Redis is.
        subscribers: how many connections hear it.
    """
    settings = SharedStoreSettings(url, "the fleet's password", timeout=30.0)
    store, key = RedisStore(settings, 3600.0), parse_secret(SECRET, ANSWER)
    address = ("127.0.0.1", int(url.rsplit(":", 1)[1].split("/")[0]))
    subscribe = b"SUBSCRIBE %s\r\n" % store.channel().encode("ascii")
    with contextlib.closing(redis.Redis.from_url(url)) as client, contextlib.ExitStack() as stack:
        client.flushall()
        place = position_of(client.execute_command(*command_of(store, Take(1, SECRET, None, -1.0, 1.0))))
        shares = [command_of(store, Share(1, SECRET, key, place._replace(number=1000 + number)))
                  for number in range(ANNOUNCEMENTS)]
        sharer, other = RedisConnection(settings), RedisConnection(settings)
        for connection in (sharer, other):
            stack.callback(connection.close)
            connection.call("PING")

        def memory() -> float:
            return (client.info("memory")["used_memory"] - used) / subscribers  # type: ignore[no-any-return]

        used = client.info("memory")["used_memory"]
        poll = stack.enter_context(selectors.DefaultSelector())
        for _ in range(subscribers):
            heard = socket.create_connection(address)
            stack.callback(heard.close)
            heard.sendall(subscribe)
            heard.recv(4096)
            poll.register(heard, selectors.EVENT_READ)
        new, before = memory(), cpu_of(client)
        blocked, all_have_it = [], []
        for share in shares:
            began = time.monotonic()
            sharer.send(*share)
            time.sleep(0.001)
            asked = time.monotonic()
            other.call("PING")
            blocked.append(time.monotonic() - asked)
            sharer.receive()
            waiting = subscribers
            while waiting:
                for ready, _ in poll.select(5.0):
                    assert len(ready.fileobj.recv(65536)) > 400  # type: ignore[union-attr]
                    waiting -= 1
            all_have_it.append(time.monotonic() - began)
        cpu = (cpu_of(client) - before) / len(shares)
        time.sleep(LATER)
        return Told(subscribers, cpu, statistics.median(blocked), statistics.median(all_have_it), new, memory())


def main() -> None:
    """Measure, and print."""
    with redis_server() as url:
        for what, value in operations(url).items():
            print("{:<40}{:>10}".format(
                what, "{:.0f} B".format(value) if "memory" in what else "{:.1f} us".format(1e6 * value)), flush=True)
        for subscribers in SUBSCRIBERS:
            row = told(url, subscribers)
            print("announcement, {:>6} subscribers: CPU {:.2f} ms, {:.2f} us each; blocked {:.1f} ms; "
                  "all have it after {:.0f} ms; {:.0f} B a connection, later {:.0f} B".format(
                      subscribers, 1e3 * row.cpu, 1e6 * row.cpu / subscribers, 1e3 * row.blocked,
                      1e3 * row.all_have_it, row.memory, row.later), flush=True)


if __name__ == "__main__":
    main()
