"""The command ``refresh``: reads secrets from Secrets Manager now."""

from typing import Optional, Tuple

import click

from .check import print_lines
from .exit_status import exit_with


@click.command(short_help="Read secrets from Secrets Manager now.")
@click.option("--config", type=click.Path(), metavar="FILE",
              help="The properties file. The default is the file that programs read.")
@click.argument("secrets", metavar="SECRET [SECRET]...", nargs=-1, required=True)
def refresh(config: Optional[str], secrets: Tuple[str, ...]) -> None:
    """Read each SECRET from Secrets Manager now, and show the id of its key (masked) and its version.

    Exits with 0 if every secret was read, with 1 if one was not, and with 2 if the command line is wrong.
    """
    exit_with(lambda: _refresh(config, secrets))


def _refresh(config: Optional[str], secrets: Tuple[str, ...]) -> int:
    from aliyun_sdk_secretsmanager_common_plugin import check as checks
    from aliyun_sdk_secretsmanager_common_plugin.exceptions import ConfigurationError

    try:
        steps = checks.refresh(config, secrets)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    return 0 if print_lines(steps) else 1
