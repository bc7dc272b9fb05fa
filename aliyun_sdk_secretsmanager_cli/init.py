"""The command ``init``: asks how an application reads secrets, and writes a properties file."""

import os
import shlex
import shutil
import sys
import textwrap
from typing import Any, Dict, List, Mapping, Optional

import click

from aliyun_sdk_secretsmanager_common_plugin.settings.settings import DEFAULT_CONFIG_NAME

from .exit_status import exit_with
from .questions import (
    QUESTIONS,
    WAY,
    WAYS,
    Question,
    missing,
    next_question,
    problem_of,
    questions_for,
    text_of,
    values_of,
)


def _types(context: Any, parameter: Any, begun: str) -> List[str]:
    return [way for way in WAYS if way.startswith(begun)]


def _flags(command: Any) -> Any:
    """Add a flag for each question that asks for no secret."""
    for question in reversed(list(QUESTIONS.values())):
        if not question.secret:
            what = "One of: {}.".format(", ".join(WAYS)) if question is WAY else question.text + "."
            kind: Any = click.Path() if question.is_path else str
            command = click.option("--" + question.name.replace("_", "-"), question.name, type=kind,
                                   metavar="FILE" if question.is_path else "TEXT", help=what,
                                   shell_complete=_types if question is WAY else None)(command)
    return command


@click.command(short_help="Ask how secrets are read, and write a properties file.")
@_flags
@click.option("--secret-stdin", is_flag=True, help="Read the secrets from standard input, one on each line: the "
                                                   "AccessKey secret, then the security token if there is one.")
@click.argument("path", metavar="[FILE]", type=click.Path(), default=DEFAULT_CONFIG_NAME)
def init(path: str, secret_stdin: bool, **answers: Optional[str]) -> None:
    """Write a properties file, FILE, that the application can read secrets with.

    Asks what is not given as a flag. As soon as one flag is given, asks only for what is required, and without a
    terminal never asks. FILE must not exist. Secrets are never flags, because others can see the command line. They are
    asked without being shown, or read from standard input.
    """
    given = {name: answer for name, answer in answers.items() if answer is not None}
    exit_with(lambda: _init(path, given, secret_stdin))


def _init(path: str, given: Mapping[str, str], secrets_from_stdin: bool) -> int:
    """Write the properties file and return the exit status.

    Args:
        path: the file, which must not exist.
        given: the answers that were given as flags, by the question's name.
        secrets_from_stdin: whether the secrets are read from standard input, one a line.
    """
    if os.path.lexists(path):
        return _failed(path, "it exists already; name another file, or move this one away")
    answers = dict(given)
    problem = _problem_of_flags(answers)
    if not problem and secrets_from_stdin:
        for question in questions_for(answers):
            if question.secret:
                answers[question.name] = sys.stdin.readline().rstrip("\r\n")
        problem = problem_of(answers)
    if problem:
        raise click.UsageError(problem)
    if secrets_from_stdin or not sys.stdin.isatty():
        if missing(answers):
            raise click.UsageError("there is no terminal to ask on; give {}".format(
                ", ".join(_flag(question) for question in missing(answers))))
    else:
        _ask(answers, only_required=bool(given))
    try:
        _write(path, text_of(values_of(answers)))
    except OSError as error:
        return _failed(path, "{}; choose another place".format(error.strerror))
    command = "managed-credentials check --config {}{}".format(
        shlex.quote(path), "" if answers.get("secret_names") else " SECRET")
    click.echo("Wrote {}, which only you can read. Try it:\n\n    {}\n".format(path, command))
    return 0


def _failed(path: str, why: str) -> int:
    click.echo("Cannot write {}: {}.".format(path, why), err=True)
    return 1


def _flag(question: Question) -> str:
    return "--secret-stdin ({})".format(question.text) if question.secret else "--" + question.name.replace("_", "-")


def _problem_of_flags(answers: Mapping[str, str]) -> str:
    """Return what is wrong with flags; empty if nothing is."""
    problem = problem_of(answers)
    if problem or WAY.name not in answers:
        return problem
    asked = [question.name for question in questions_for(answers)]
    surplus = ["--" + name.replace("_", "-") for name in answers if name not in asked]
    return "{} does not go with --type {}".format(" or ".join(surplus), answers[WAY.name]) if surplus else ""


def _ask(answers: Dict[str, str], only_required: bool) -> None:
    """Ask on the terminal until all questions have a good answer."""
    question = next_question(answers)
    while question is not None:
        if only_required and not question.required:
            answers[question.name] = ""
        else:
            answer = _answer_to(question)
            problem = problem_of(dict(answers, **{question.name: answer}))
            if problem:
                click.echo(_filled("That does not work: {}.".format(problem), "  "))
            else:
                answers[question.name] = answer
        question = next_question(answers)


def _answer_to(question: Question) -> str:
    if question is WAY:
        click.echo(question.text + "\n")
        for way, what in WAYS.items():
            click.echo("  {:<17}{}".format(way, what))
        click.echo()
        return str(click.prompt("Type", default=question.example)).strip()
    return str(click.prompt(_filled(question.text), default="", show_default=False, hide_input=question.secret)).strip()


def _filled(text: str, indent: str = "") -> str:
    width = shutil.get_terminal_size()[0]
    return textwrap.fill(text, min(width, 80) - 2, initial_indent=indent, subsequent_indent=indent,
                         break_long_words=False, break_on_hyphens=False)


def _write(path: str, text: str) -> None:
    """Make the file with this text: whole, or not at all."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except BaseException:
        os.unlink(path)
        raise
