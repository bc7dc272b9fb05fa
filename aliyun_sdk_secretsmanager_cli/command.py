"""The command ``managed-credentials``."""

import locale
import logging
import os
import sys
import warnings
from typing import Any


def main() -> None:
    """Run the command and end the process.

    The exit status is 0 on success, 1 on failure, 2 for wrong arguments, and 130 after Ctrl-C.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn about the version of Python
    logging.getLogger().addHandler(logging.NullHandler())  # keeps log lines out of the output
    if locale.getpreferredencoding().upper() in ("ANSI_X3.4-1968", "US-ASCII", "ASCII"):
        os.environ["LC_ALL"] = "C.UTF-8"  # on Python 3.6 click does not run with ASCII
    try:
        _group()(prog_name="managed-credentials")
    except KeyboardInterrupt:  # while it still imports
        sys.exit(130)
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("aliyun_sdk_"):
            raise
        extra = "testing" if "demo" in sys.argv[1:2] else "cli"
        sys.exit('managed-credentials needs {0}, which the extra "{1}" installs: '
                 'pip install "aliyun-sdk-managed-credentials-providers[{1}]"'.format(error.name.split(".")[0], extra))


def _group() -> Any:
    import click

    from aliyun_sdk_secretsmanager_common_plugin import __version__

    from .check import check
    from .demo import demo
    from .init import init
    from .refresh import refresh

    # Help fills a wide terminal, up to 120 columns.
    @click.group(context_settings={"max_content_width": 120})
    @click.version_option(__version__, prog_name="managed-credentials")
    def group() -> None:
        """Managed RAM credentials for the Alibaba Cloud SDKs."""

    for command in (check, demo, init, refresh):
        group.add_command(command)
    return group
