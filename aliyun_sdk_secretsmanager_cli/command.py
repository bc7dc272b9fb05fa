"""The command line: the commands, their arguments and the exit status."""

import locale
import logging
import os
import sys
import warnings
from typing import Any, Callable, List, NoReturn, Optional, Tuple


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
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("aliyun_sdk_"):
            raise
        extra = "testing" if "demo" in sys.argv[1:2] else "cli"
        sys.exit('managed-credentials needs {0}, which the extra "{1}" installs: '
                 'pip install "aliyun-sdk-managed-credentials-providers[{1}]"'.format(error.name.split(".")[0], extra))


def _group() -> Any:
    import click

    from aliyun_sdk_secretsmanager_common_plugin import __version__

    # Help fills a wide terminal, up to 120 columns.
    @click.group(context_settings={"max_content_width": 120})
    @click.version_option(__version__, prog_name="managed-credentials")
    def group() -> None:
        """Managed RAM credentials for the Alibaba Cloud SDKs."""

    @group.command()
    def demo() -> None:
        """Rotate a key three times under load, on a local cloud. Takes less than 20 seconds.

        Exits with 0 if every call succeeded that could have succeeded.
        """
        _exit_with(_demo)

    group.add_command(_check_command())
    group.add_command(_init_command())
    return group


def _exit_with(run: Callable[[], int]) -> NoReturn:
    """End the process with the exit status that ``run`` returns, or with 130 after Ctrl-C."""
    import click

    try:
        code = run()
    except (KeyboardInterrupt, click.Abort):
        code = 130
    sys.exit(code)


def _demo() -> int:
    from aliyun_sdk_secretsmanager_testing.demo import run

    return run()


def _check_command() -> Any:
    import click

    @click.command("check", short_help="Try a configuration step by step.")
    @click.option("--config", type=click.Path(), metavar="FILE",
                  help="The properties file. The default is the file that programs read.")
    @click.option("--strict", is_flag=True, help="Treat warnings as failures.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @click.option("--only", metavar="NAME", multiple=True, shell_complete=_names_of_checks,
                  help="Run only the check of this name. Can be given several times.")
    @click.option("--list", "as_list", is_flag=True, help="Print the names of the checks, and what each one tries.")
    @click.option("--anonymize", is_flag=True,
                  help="Replace names, paths, accounts and hosts by placeholders, for a ticket.")
    @click.argument("secrets", metavar="[SECRET]...", nargs=-1)
    def check(config: Optional[str], strict: bool, as_json: bool, only: Tuple[str, ...], as_list: bool,
              anonymize: bool, secrets: Tuple[str, ...]) -> None:
        """Try the configuration: the file, the cache file, the identity, each gateway, each SECRET and its key.

        Without a SECRET, reads those of secret_names. Exits with 0 if every step succeeded, with 1 if one failed, and
        with 2 if the command line is wrong.
        """
        _exit_with(_list if as_list else lambda: _check(config, secrets, strict, only, as_json, anonymize))

    return check


def _names_of_checks(context: Any, parameter: Any, begun: str) -> List[str]:
    from aliyun_sdk_secretsmanager_common_plugin.check import CHECKS

    return [name for name in CHECKS if name.startswith(begun)]


def _list() -> int:
    from aliyun_sdk_secretsmanager_common_plugin.check import CHECKS

    for name, what in CHECKS.items():
        print("{:<12}{}".format(name, what))
    return 0


def _check(config: Optional[str], secrets: Tuple[str, ...], strict: bool, only: Tuple[str, ...], as_json: bool,
           anonymize: bool) -> int:
    import click

    from aliyun_sdk_secretsmanager_common_plugin.check import check
    from aliyun_sdk_secretsmanager_common_plugin.exceptions import ConfigurationError

    from .check import print_json, print_lines

    try:
        steps = check(config, secrets, strict, only)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    if anonymize:
        from .anonymous import anonymized

        steps = anonymized(steps, config, secrets)
    return 0 if (print_json if as_json else print_lines)(steps) else 1


def _init_command() -> Any:
    import click

    from aliyun_sdk_secretsmanager_common_plugin.settings.settings import DEFAULT_CONFIG_NAME

    from .questions import QUESTIONS, WAY, WAYS

    def init(path: str, secret_stdin: bool, **answers: Optional[str]) -> None:
        """Write a properties file, FILE, that the application can read secrets with.

        Asks what is not given as a flag. As soon as one flag is given, asks only for what is required, and without a
        terminal never asks. FILE must not exist. Secrets are never flags, because others can see the command line.
        They are asked without being shown, or read from standard input.
        """
        from .init import init

        given = {name: answer for name, answer in answers.items() if answer is not None}
        _exit_with(lambda: init(path, given, secret_stdin))

    made: Any = init
    made = click.argument("path", metavar="[FILE]", type=click.Path(), default=DEFAULT_CONFIG_NAME)(made)
    made = click.option("--secret-stdin", is_flag=True, help="Read the secrets from standard input, one on each line: "
                        "the AccessKey secret, then the security token if there is one.")(made)
    for question in reversed(list(QUESTIONS.values())):
        if not question.secret:
            what = "One of: {}.".format(", ".join(WAYS)) if question is WAY else question.text + "."
            kind: Any = click.Path() if question.is_path else str
            made = click.option("--" + question.name.replace("_", "-"), question.name, type=kind,
                                metavar="FILE" if question.is_path else "TEXT", help=what,
                                shell_complete=_types if question is WAY else None)(made)
    return click.command("init", short_help="Ask how secrets are read, and write a properties file.")(made)


def _types(context: Any, parameter: Any, begun: str) -> List[str]:
    from .questions import WAYS

    return [way for way in WAYS if way.startswith(begun)]
