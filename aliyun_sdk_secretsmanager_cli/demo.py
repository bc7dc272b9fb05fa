"""The command ``demo``."""

import contextlib
import errno
import json
import os
import sys
from typing import Any, Dict, Optional

import click

from .exit_status import exit_with


def _checked(context: click.Context, parameter: click.Parameter, path: Optional[str]) -> Optional[str]:
    """Refuse a file that cannot be written, or that would be lost, before the demo runs."""
    if path is None:
        return None
    if not path:
        raise click.BadParameter("the name of the file is empty.")
    directory = os.path.dirname(os.path.abspath(path))
    if not os.path.exists(path) and not os.access(directory, os.W_OK):
        raise click.BadParameter("the directory {} does not exist, or you may not write to it.".format(directory))
    if os.path.isfile(path):
        from aliyun_sdk_secretsmanager_testing.demo.picture import MARK

        with open(path, "rb") as file:
            if MARK.encode() not in file.read(1000):
                raise click.BadParameter(
                    "{} exists and is no picture of the demo. Name another file, or delete it first.".format(path))
    return path


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end, and nothing else.")
@click.option("--svg", metavar="FILE", type=click.Path(dir_okay=False, writable=True), callback=_checked,
              help="Also draw the finished demo into FILE. An earlier picture of the demo is replaced, but no other "
                   "file.")
def demo(as_json: bool, svg: Optional[str]) -> None:
    """Show what happens to programs whose key is replaced. Takes less than 20 seconds.

    Everything runs on a local cloud: clients of this package call it beside a plain AcsClient, in four scenarios.
    Exits with 0 if no call of our clients failed that could have succeeded, and else with 1.
    """
    exit_with(lambda: _demo(as_json, svg))


def _demo(as_json: bool, svg: Optional[str]) -> int:
    try:
        return 0 if _run(as_json, svg)["ok"] else 1
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # nobody reads on, and click ends quietly
        raise click.ClickException("the demo ended early: {}".format(error)) from None


def _run(as_json: bool, svg: Optional[str]) -> Dict[str, Any]:
    from aliyun_sdk_secretsmanager_testing.demo.picture import draw
    from aliyun_sdk_secretsmanager_testing.demo.scenarios import document_of
    from aliyun_sdk_secretsmanager_testing.demo.screen import watch
    from aliyun_sdk_secretsmanager_testing.demo.stage import perform

    if sys.stdout is None:
        raise OSError("the standard output is closed")
    with contextlib.closing(perform()) as results:
        if as_json:
            document = document_of([result for result in results if result["ok"] is not None])
            print(json.dumps(document, indent=2), flush=True)
        else:
            document = watch(results, sys.stdout)
    if svg is not None:
        try:
            with open(svg, "w", encoding="utf-8") as file:
                file.write(draw(document))
        except OSError as error:
            raise click.ClickException("cannot write {}: {}".format(svg, error.strerror)) from None
    return document
