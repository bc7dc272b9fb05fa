"""Checks the English of the pages in docs and beside it, by the rules in rules.toml and with proselint.

Code, literals and what is no text of a page are left out. Files can be named as arguments.
"""

import pathlib
import re
import sys

import proselint.checks
import tomllib
from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives, roles
from proselint.registry import CheckRegistry

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RULES = tomllib.loads(pathlib.Path(__file__).with_name("rules.toml").read_text(encoding="utf-8"))
PASSIVE = re.compile(
    r"\b(?:is|are|was|were|be|been|being)(?: (?:not|never|also|only|then|always|still|\w+ly))? (?:\w+[^e\W]ed"
    r"|made|given|sent|kept|read|written|taken|told|found|held|known|lost|done|shown|drawn|said|seen|left|put|built)\b")
SENTENCE_ENDS = re.compile(r"(?<=[.!?:])[\"')]*\s+")
WORDS = [(re.compile(r"(?<![\w-])(?:{})(?![\w-])".format(words), 0 if kind == "terms" else re.I), kind, instead)
         for kind in ("empty", "riddles", "terms") for words, instead in RULES[kind].items()]


class Skipped(Directive):
    """A directive of Sphinx, whose content is no text."""

    has_content = True
    optional_arguments = 99
    final_argument_whitespace = True
    option_spec = dict.fromkeys(("hidden", "maxdepth", "members", "caption", "start-after", "end-before"), str)

    def run(self):
        return []


def prepare():
    """Make docutils know what Sphinx adds, and proselint its checks: once in a process."""
    for name in ("toctree", "automodule", "autoclass", "autofunction", "include"):
        directives.register_directive(name, Skipped)
    for name in ("doc", "ref", "download", "class", "func", "meth", "mod"):
        roles.register_generic_role(name, nodes.literal)
    CheckRegistry().register_many(proselint.checks.__register__)


def paragraphs(path):
    """Yield the line and the text of each paragraph, title and table cell. A literal becomes a word of its own."""
    document = publish_doctree(path.read_text(encoding="utf-8"), str(path), settings_overrides={
        "report_level": 5, "halt_level": 5, "raw_enabled": False})
    for element in document.findall(lambda node: isinstance(node, (nodes.paragraph, nodes.title, nodes.term))):
        if not isinstance(element.parent, nodes.system_message):
            parts = []
            for node in element.findall(nodes.Text):
                is_code = isinstance(node.parent, (nodes.literal, nodes.math))
                parts.append("Code{}".format(len(parts)) + "\n" * node.count("\n") if is_code else str(node))
            yield element.line or 0, "".join(parts)


def findings(text):
    """Yield where something is wrong in a paragraph, and what."""
    for check in CheckRegistry().get_all_enabled(dict.fromkeys(RULES["proselint"], True)):
        for found in check.check_with_flags("\n{}\n".format(text)):
            yield found.span[0], "proselint {}: {}".format(found.check_path, found.message)
    for pattern, kind, instead in WORDS:
        for found in pattern.finditer(re.sub(r"\s", " ", text)):
            yield found.start(), "{} {!r}: {}".format(kind, found.group(), instead)
    start = 0
    for sentence in SENTENCE_ENDS.split(text):
        start = text.index(sentence, start)
        words, passives = len(sentence.split()), len(PASSIVE.findall(sentence))
        if words > RULES["longest_sentence"]:
            yield start, "{} words in one sentence: {} ...".format(words, " ".join(sentence.split()[:6]))
        if passives > RULES["most_passives"]:
            yield start, "{} passives in one sentence: {} ...".format(passives, " ".join(sentence.split()[:6]))


def pages():
    found = sorted(ROOT.glob("*.rst")) + sorted((ROOT / "docs").glob("**/*.rst"))
    return [path for path in found if not {"zh-cn", "_build", "README.zh-cn.rst"} & set(path.parts)]


def main(*files):
    wrong = 0
    for path in [pathlib.Path(file).resolve() for file in files] or pages():
        for line, text in paragraphs(path):
            for at, what in sorted(findings(text)):
                print("{}:{}: {}".format(path.relative_to(ROOT), line + text.count("\n", 0, at), " ".join(what.split())))
                wrong += 1
    print("{} findings".format(wrong))
    return 1 if wrong else 0


prepare()

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
