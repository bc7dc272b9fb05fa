"""Shows the demo as text: on a terminal with the current figures, elsewhere block by block."""
import contextlib
import os
import textwrap
from typing import Any, Dict, Iterable, List, Optional, Sequence, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from .scenarios import SCENARIOS, Result, document_of

WIDTH = 80  # the longest line
TITLE = "A key is replaced while programs use it"
INTRODUCTION = (
    "This is a simulated cloud on your own machine. Several clients call its services all the time. The managed "
    "clients, ProxyAcsClient and ProxyBucket, know only the name of a secret, and read their key from Secrets Manager. "
    "The plain AcsClient was given the same key when it started.")

_MARKS = {True: "\u2713 ", False: "\u2717 ", None: "> "}
_ASCII_MARKS = {True: "ok ", False: "FAILED ", None: "> "}
_HEADS = {True: "bold green", False: "bold red", None: "bold"}
_MANAGED = {True: "green", False: "bold red", None: ""}


class Page:
    """The demo as lines of text.

    Args:
        width: the longest line.
        encoding: the encoding in which they are shown.
    """

    def __init__(self, width: int = WIDTH, encoding: str = "utf-8") -> None:
        self._width = width
        try:
            "".join(_MARKS.values()).encode(encoding)
        except UnicodeEncodeError:
            self._marks = _ASCII_MARKS
        else:
            self._marks = _MARKS

    def lines(self, document: Dict[str, Any]) -> List[Text]:
        """Return all lines of a demo that is over."""
        lines = self.introduction()
        for result in document["scenarios"]:
            lines += self.block(result)
        return lines + self.verdict(document)

    def introduction(self) -> List[Text]:
        """Return the lines above the scenarios."""
        return self._wrapped("", TITLE, "bold") + self._wrapped("", INTRODUCTION) + [Text()]

    def block(self, result: Result) -> List[Text]:
        """Return the lines of one scenario, while it is played or when it is over."""
        ok = result["ok"]
        lines = self._head(ok, result["title"])
        lines += self._wrapped("  ", result["happens"])
        lines += self._wrapped("  Managed clients  ", result["managed"]["said"], _MANAGED[ok])
        lines += self._wrapped("  Plain AcsClient  ", result["plain"]["said"], "yellow")
        if ok is None:
            lines += self._wrapped("  Now              ", result["now"])
        return lines + [Text()]

    def verdict(self, document: Dict[str, Any]) -> List[Text]:
        """Return the lines below the scenarios."""
        return self._head(document["ok"], document["verdict"])

    def _head(self, ok: Optional[bool], text: str) -> List[Text]:
        lines = self._wrapped(self._marks[ok], text)
        for line in lines:
            line.stylize(_HEADS[ok])
        return lines

    def _wrapped(self, beginning: str, text: str, style: str = "") -> List[Text]:
        lines = []
        for piece in textwrap.wrap(text, max(self._width - len(beginning), 20)):
            lines.append(Text(beginning + piece))
            lines[-1].stylize(style, len(beginning))
            beginning = " " * len(beginning)
        return lines


def watch(results: Iterable[Result], out: TextIO) -> Dict[str, Any]:
    """Show the demo while it runs.

    Args:
        results: what ``perform`` yields.
        out: the file to show it on.

    Returns:
        All results with the verdict.
    """
    console = Console(file=out, highlight=False)
    console.width = console.width or WIDTH  # rich prints nothing if COLUMNS is 0
    on_terminal = out.isatty()
    page = Page(min(console.width, WIDTH) if on_terminal else WIDTH, console.encoding)
    over: List[Result] = []

    def show(lines: Sequence[Text]) -> None:
        for line in lines:
            console.print(line, soft_wrap=True)
        out.flush()

    show(page.introduction())
    with contextlib.ExitStack() as stack:
        live: Optional[Live] = None
        if on_terminal and os.environ.get("TERM") not in (None, "", "dumb", "unknown"):
            live = stack.enter_context(Live(console=console, auto_refresh=False, transient=True))
        for result in results:
            if result["ok"] is not None:
                over.append(result)
                if live:
                    live.update(Group())
                show(page.block(result))
            elif live:
                count = Text("Scenario {} of {}".format(len(over) + 1, len(SCENARIOS)), "dim")
                live.update(Group(*(page.block(result) + [count])), refresh=True)
    document = document_of(over)
    show(page.verdict(document))
    return document
