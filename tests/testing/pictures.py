"""The pictures of the docs, and the text that a picture shows."""

import pathlib
from xml.etree import ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PICTURES = ROOT / "docs/pictures"


def texts(svg):
    """The lines of text in a picture."""
    lines = {}
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        lines.setdefault(float(element.get("y")), []).append("".join(element.itertext()).replace("\xa0", " "))
    return ["".join(line) for line in lines.values()]
