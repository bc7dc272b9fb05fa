"""The local cloud as a process: ``python -m aliyun_sdk_secretsmanager_testing [--region R ...] [--dedicated NAME ...]
[--secret NAME ...]``.

It prints one line of JSON: all endpoints, the CA file, the control URL, and the identity's AccessKey. The secret of
that AccessKey is printed too, for whoever starts the process needs it to sign with; it is worth nothing elsewhere.
The process ends when its standard input is closed, or at SIGTERM or SIGINT.
"""
import argparse
import json
import signal
import sys
import threading
from typing import Any, List, Optional

from .cloud import LocalCloud


def main(arguments: Optional[List[str]] = None) -> int:
    """Run a cloud until told to stop.

    Args:
        arguments: of the command line; None takes the process's.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m aliyun_sdk_secretsmanager_testing",
                                     description="A local cloud that ends when its standard input is closed.")
    parser.add_argument("--region", action="append", metavar="R", help="region of a gateway (default cn-hangzhou)")
    parser.add_argument("--dedicated", action="append", metavar="NAME", default=[],
                        help="instance with a dedicated gateway")
    parser.add_argument("--secret", action="append", metavar="NAME", default=[], help="create this secret")
    chosen = parser.parse_args(arguments)
    with LocalCloud(chosen.region or ("cn-hangzhou",), dedicated=chosen.dedicated) as cloud:
        for name in chosen.secret:
            cloud.create_secret(name)
        print(json.dumps(dict(cloud.endpoints(), secrets=chosen.secret, identity=cloud.identity._asdict())), flush=True)
        _wait()
    return 0


def _wait() -> None:
    ended = threading.Event()

    def end(*_: Any) -> None:
        ended.set()

    def read() -> None:
        while sys.stdin.readline():
            pass
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    threading.Thread(target=read, daemon=True).start()
    ended.wait()


if __name__ == "__main__":
    sys.exit(main())
