"""The command ``managed-credentials``, and how the steps of ``check`` are printed."""
import json
import locale
import logging
import os
import sys
import textwrap
import warnings
from typing import TYPE_CHECKING, Any, Callable, Iterable, NoReturn, Optional, Tuple

if TYPE_CHECKING:
    from aliyun_sdk_secretsmanager_common_plugin.check import Step

_INDENT = "    "


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

    from .demo import demo

    @click.group()
    @click.version_option(__version__, prog_name="managed-credentials")
    def group() -> None:
        """Managed RAM credentials for the Alibaba Cloud SDKs."""

    @group.command()
    @click.option("--config", metavar="FILE", help="The properties file. The default is the file that programs read.")
    @click.option("--strict", is_flag=True, help="Treat warnings as failures.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @click.argument("secrets", metavar="[SECRET]...", nargs=-1)
    def check(config: Optional[str], strict: bool, as_json: bool, secrets: Tuple[str, ...]) -> None:
        """Try the configuration: the file, the cache file, the identity, each gateway, each SECRET and its key.

        Without a SECRET, reads those of secret_names. Exits with 0 if every step succeeded.
        """
        _exit_with(lambda: _check(config, secrets, strict, _print_json if as_json else _print_lines))

    group.add_command(demo)
    return group


def _exit_with(run: Callable[[], int]) -> NoReturn:
    """End the process with the exit status that ``run`` returns, or with 130 after Ctrl-C."""
    try:
        code = run()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _check(
    config: Optional[str], secrets: Tuple[str, ...], strict: bool, show: Callable[[Iterable["Step"]], bool]
) -> int:
    from aliyun_sdk_secretsmanager_common_plugin.check import check

    return 0 if show(check(config, secrets, strict)) else 1


def _print_json(steps: Iterable["Step"]) -> bool:
    """Print all steps as one document; return whether all of them succeeded."""
    done = list(steps)
    ok = all(step.ok for step in done)
    documents = [dict({"step": step.step, "subject": step.subject, "ok": step.ok, "detail": step.detail,
                       "warnings": step.warnings}, **step.facts) for step in done]
    print(json.dumps({"ok": ok, "steps": documents}, indent=2))
    return ok


def _print_lines(steps: Iterable["Step"]) -> bool:
    """Print each step when it ends, followed by its error or warnings; return whether all of them succeeded."""
    from rich.console import Console

    console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False, soft_wrap=True)
    console.width = console.width or 80  # rich prints nothing if COLUMNS is 0
    width = console.width if console.is_terminal else sys.maxsize
    good, bad = "\u2713", "\u2717"
    try:
        (good + bad).encode(console.encoding)
    except UnicodeEncodeError:
        good, bad = "ok", "FAILED"

    def write(text: str, style: str = "") -> None:
        # Characters that the terminal cannot show are escaped.
        console.print(text.encode(console.encoding, "backslashreplace").decode(console.encoding), style=style)

    ok = True
    for step in steps:
        ok = ok and step.ok
        head, lines = "{} {:<9}{}".format(good if step.ok else bad, step.step, step.subject), step.detail.split("\n")
        if step.ok:
            head += ": " + lines.pop(0)
        write(head, "green" if step.ok else "bold red")
        for line in lines:
            write(textwrap.fill(line, width, initial_indent=_INDENT, subsequent_indent=_INDENT,
                                break_long_words=False, break_on_hyphens=False))
    return ok
