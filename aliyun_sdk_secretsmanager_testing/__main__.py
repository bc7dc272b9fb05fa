"""The local cloud as a process: ``python -m aliyun_sdk_secretsmanager_testing [--region R ...] [--dedicated NAME ...]
[--secret NAME ...] [--host ADDRESS] [--allow-host NAME ...]``.

It prints one line of JSON: all endpoints, the CA file, the URLs of controls and console, and the identity's AccessKey.
This includes the secret of that AccessKey, since whoever starts the process needs it for signing; it is valid in this
cloud only. In a terminal it then prints the address of the console once more, in a line of its own. The process ends at
SIGTERM or SIGINT. If its standard input is a pipe or a terminal, it also ends when that is closed.
"""
import argparse
import json
import logging
import os
import signal
import stat
import sys
import threading
from typing import Any, List, Optional

from .cloud import LocalCloud


def main(arguments: Optional[List[str]] = None) -> int:
    """Run a local cloud until it is told to stop.

    Args:
        arguments: the arguments of the command line; None is those of the process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m aliyun_sdk_secretsmanager_testing",
        description="A local cloud that ends when its standard input, a pipe or a terminal, is closed.")
    parser.add_argument("--region", action="append", metavar="R", help="region of a gateway (default cn-hangzhou)")
    parser.add_argument("--dedicated", action="append", metavar="NAME", default=[],
                        help="instance with a dedicated gateway")
    parser.add_argument("--secret", action="append", metavar="NAME", default=[], help="create this secret")
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1",
                        help="address to listen at, for containers 0.0.0.0 (default 127.0.0.1)")
    parser.add_argument("--allow-host", action="append", metavar="NAME", default=[],
                        help="name by which other machines and containers ask for it")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        cloud = LocalCloud(chosen.region or ("cn-hangzhou",), dedicated=chosen.dedicated, host=chosen.host,
                           allow_hosts=chosen.allow_host)
        for name in chosen.secret:
            cloud.create_secret(name)
        cloud.start()
    except ImportError as error:
        sys.exit(str(error))
    except (OSError, ValueError) as error:
        parser.error(getattr(error, "strerror", None) or str(error))
    try:
        ended = _told_to_end()
        print(json.dumps(dict(cloud.endpoints(), secrets=chosen.secret, identity=cloud.identity._asdict())), flush=True)
        if sys.stderr.isatty():
            print("Console: " + cloud.console_url, file=sys.stderr)
        ended.wait()
    finally:
        cloud.stop()
    return 0


def _told_to_end() -> threading.Event:
    """Return an event that is set when the process is told to stop."""
    ended = threading.Event()

    def end(*_: Any) -> None:
        ended.set()

    def read() -> None:
        try:
            while os.read(0, 65536):
                pass
        except OSError:
            pass  # the terminal was closed
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    if _stdin_can_end():
        threading.Thread(target=read, daemon=True).start()
    return ended


def _stdin_can_end() -> bool:
    """Whether somebody may close the standard input. It is not so for /dev/null, which services and containers get."""
    if sys.stdin is None:
        return False
    given = os.fstat(0)
    # os.isatty would return False for a terminal that was closed already.
    return not stat.S_ISREG(given.st_mode) and given.st_rdev != os.stat(os.devnull).st_rdev


if __name__ == "__main__":
    sys.exit(main())
