"""How a command ends the process."""

import sys
from typing import Callable, NoReturn

import click


def exit_with(run: Callable[[], int]) -> NoReturn:
    """End the process with the exit status that ``run`` returns, or with 130 after Ctrl-C."""
    try:
        code = run()
    except (KeyboardInterrupt, click.Abort):
        code = 130
    sys.exit(code)
