"""The console script ``managed-credentials``."""
import locale
import os
import sys
import warnings
from typing import Any

# What the extra "testing" brings, and this script and the local cloud import.
_EXTRA = ("cheroot", "click", "crcmod", "oss2", "rich", "trustme")


def main() -> None:
    """Run the script. Ends the process: 0 where all was well, 1 where not, 2 for a wrong command, 130 at Ctrl-C."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of the libraries, about the Python they run on
    if locale.getpreferredencoding().upper() in ("ANSI_X3.4-1968", "US-ASCII", "ASCII"):
        os.environ["LC_ALL"] = "C.UTF-8"  # on Python 3.6 click refuses to start without
    try:
        _group()(prog_name="managed-credentials")
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] not in _EXTRA:
            raise
        sys.exit("managed-credentials needs {}, which the extra \"testing\" installs: "
                 "pip install \"aliyun-sdk-managed-credentials-providers[testing]\"".format(error.name))


def _group() -> Any:
    import click

    from aliyun_sdk_secretsmanager_common_plugin import __version__

    @click.group()
    @click.version_option(__version__, prog_name="managed-credentials")
    def group() -> None:
        """Managed RAM credentials for the Alibaba Cloud SDKs."""

    @group.command()
    def demo() -> None:
        """Rotate a key three times under load, on a cloud on this machine; takes under 20 seconds.

        Exits with 0 only if no call failed that could have succeeded.
        """
        try:
            from .demo import run

            code = run()
        except KeyboardInterrupt:
            code = 130
        sys.exit(code)

    return group
