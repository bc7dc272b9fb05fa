"""How the steps of ``check`` are printed: as lines, or as one JSON document."""

import json
import sys
import textwrap
from typing import TYPE_CHECKING, Iterable, List

if TYPE_CHECKING:
    from aliyun_sdk_secretsmanager_common_plugin.check import Step

_INDENT = "    "


def print_json(steps: Iterable["Step"]) -> bool:
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
        head, lines = "{} {:<9}{}".format(good if step.ok else bad, step.step, step.subject), step.detail.split("\n")
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
