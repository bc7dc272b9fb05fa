"""The code blocks of a page, with the languages and the names that they have."""

import collections
import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"

Block = collections.namedtuple("Block", "language name code")

_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n(?:   :name: (\S+)\n)?\n((?:   .*\n|\n)+)", re.M)


def text_of(path):
    return path.read_text(encoding="utf-8")


def blocks(path):
    """Return the blocks of a page in their order; the name of one without is ""."""
    return [Block(language, name, textwrap.dedent(code).strip() + "\n")
            for language, name, code in _BLOCK.findall(text_of(path))]


def block(path, name):
    """Return the code of a named block of a page."""
    return next(found.code for found in blocks(path) if found.name == name)
