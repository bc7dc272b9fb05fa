"""The command ``check``: tries a configuration, and prints the steps as lines or as one JSON document."""

import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Iterable, List, Optional, Tuple

import click

from .exit_status import exit_with

if TYPE_CHECKING:
    from aliyun_sdk_secretsmanager_common_plugin.check import Step

_INDENT = "    "


def _names(context: Any, parameter: Any, begun: str) -> List[str]:
    from aliyun_sdk_secretsmanager_common_plugin.check import CHECKS

    return [name for name in CHECKS if name.startswith(begun)]


@click.command(short_help="Try a configuration step by step.")
@click.option("--config", type=click.Path(), metavar="FILE",
              help="The properties file. The default is the file that programs read.")
@click.option("--strict", is_flag=True, help="Treat warnings as failures.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--only", metavar="NAME", multiple=True, shell_complete=_names,
              help="Run only the check of this name. Can be given several times.")
@click.option("--list", "as_list", is_flag=True, help="Print the names of the checks, and what each one tries.")
@click.option("--anonymize", is_flag=True,
              help="Replace names, paths, accounts and hosts by placeholders, for a ticket.")
@click.argument("secrets", metavar="[SECRET]...", nargs=-1)
def check(config: Optional[str], strict: bool, as_json: bool, only: Tuple[str, ...], as_list: bool, anonymize: bool,
          secrets: Tuple[str, ...]) -> None:
    """Try the configuration: the file, the stores, the identity, each gateway, each SECRET and its key.

    Without a SECRET, reads those of secret_names. Exits with 0 if every step succeeded, with 1 if one failed, and with
    2 if the command line is wrong.
    """
    exit_with(_list if as_list else lambda: _check(config, secrets, strict, only, as_json, anonymize))


def _list() -> int:
    from aliyun_sdk_secretsmanager_common_plugin.check import CHECKS

    for name, what in CHECKS.items():
        print("{:<14}{}".format(name, what))
    return 0


def _check(config: Optional[str], secrets: Tuple[str, ...], strict: bool, only: Tuple[str, ...], as_json: bool,
           anonymize: bool) -> int:
    from aliyun_sdk_secretsmanager_common_plugin import check as checks
    from aliyun_sdk_secretsmanager_common_plugin.exceptions import ConfigurationError

    try:
        steps = checks.check(config, secrets, strict, only)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    if anonymize:
        from .anonymous import anonymized

        steps = anonymized(steps, config, secrets)
    return 0 if (_print_json if as_json else print_lines)(steps) else 1


def _print_json(steps: Iterable["Step"]) -> bool:
    """Print all steps as one document; return whether all of them succeeded."""
    done = list(steps)
    ok = all(step.ok for step in done)
    documents = [dict({"step": step.step, "subject": step.subject, "ok": step.ok, "detail": step.detail,
                       "name": step.name, "remedy": step.remedy, "link": "" if step.ok else step.link,
                       "warnings": step.warnings}, **step.facts) for step in done]
    print(json.dumps({"ok": ok, "steps": documents}, indent=2))
    return ok


def print_lines(steps: Iterable["Step"]) -> bool:
    """Print each step when it ends, and beneath it its error or warnings; return whether all of them succeeded."""
    from rich.console import Console

    console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False, soft_wrap=True)
    console.width = console.width or 80  # rich prints nothing if COLUMNS is 0
    width = console.width if console.is_terminal else sys.maxsize
    good, bad = "\u2713", "\u2717"
    try:
        (good + bad).encode(console.encoding)
    except UnicodeEncodeError:
        good, bad = "ok", "FAILED"

    def write(text: str, indent: str = "", style: str = "") -> None:
        # Characters that the terminal cannot show are escaped.
        shown = text.encode(console.encoding, "backslashreplace").decode(console.encoding)
        console.print("\n".join(_wrapped(shown, width, indent)), style=style)

    ok = True
    for step in steps:
        ok = ok and step.ok
        head, lines = "{} {:<8} {}".format(good if step.ok else bad, step.step, step.subject), step.detail.split("\n")
        if step.ok:
            head += ": " + lines.pop(0)
        else:
            lines.append("What to do: {}. See {}".format(step.remedy, step.link))
        write(head, style="green" if step.ok else "bold red")
        for line in lines:
            write(line, _INDENT)
    return ok


def _wrapped(text: str, width: int, indent: str) -> List[str]:
    """Return the lines of a text, broken at blanks only, so that paths and names can be copied."""
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=_INDENT, break_long_words=False,
                         break_on_hyphens=False, replace_whitespace=False, drop_whitespace=True)
