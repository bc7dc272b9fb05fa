"""The finished demo as an SVG, by rich, that refers to nothing outside itself."""
import io
from typing import Any, Dict

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from .screen import WIDTH, Page

MARK = "<!-- drawn by managed-credentials demo -->"
# A dark terminal with a light edge reads well on light and on dark pages. Only the green, red and yellow are used.
_BACKGROUND, _TEXT = (22, 27, 34), (230, 237, 243)
_THEME = TerminalTheme(_BACKGROUND, _TEXT, [
    _BACKGROUND, (255, 123, 114), (126, 231, 135), (227, 179, 65)] + [_TEXT] * 4)
# The template of rich without the fonts, which a page would load from the net.
_TEMPLATE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">\n' + MARK + """
<style>
.{unique_id}-matrix {{ font-family: "Fira Code", Menlo, Consolas, monospace; font-size: {char_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw(document: Dict[str, Any]) -> str:
    """Return a picture of a demo that is over; always the same for the same document.

    Args:
        document: what ``--json`` prints.
    """
    console = Console(record=True, file=io.StringIO(), width=WIDTH, highlight=False)
    for line in Page().lines(document):
        console.print(line)
    return console.export_svg(title="managed-credentials demo", theme=_THEME, code_format=_TEMPLATE, unique_id="demo")
