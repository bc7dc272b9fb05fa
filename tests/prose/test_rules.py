"""The prose check: what it finds in a page, and what it leaves alone."""

import sys

import pytest

if sys.version_info < (3, 11):
    pytest.skip("it needs Python 3.11", allow_module_level=True)
pytest.importorskip("proselint", reason="needs proselint: nox -s prose")

from . import run  # noqa: E402

NUMBERS = "one two three four five six seven eight nine ten "
LONG = NUMBERS + NUMBERS.upper() + "a b c d e f g h i j k"


@pytest.fixture
def found(tmp_path, monkeypatch, capsys):
    """Call it with the text of a page: returns the line and the text of each finding."""
    monkeypatch.setattr(run, "ROOT", tmp_path)

    def check(text):
        page = tmp_path / "page.rst"
        page.write_text(text, encoding="utf-8")
        code = run.main(str(page))
        *lines, total = capsys.readouterr().out.splitlines()
        assert total == "{} findings".format(len(lines))
        assert code == (1 if lines else 0)
        return [(int(line.split(":")[1]), line.split(": ", 1)[1]) for line in lines]

    return check


@pytest.mark.parametrize(("text", "what"), [
    ("You can simply read it.", "empty 'simply': leave it out"),
    ("It reads keys in order\nto sign.", "empty 'in order to': write: to"),
    ("Give it an access key.", "terms 'access key': AccessKey"),
    ("Nor is a call repeated.", "riddles 'Nor is': use the usual order of words"),
    ("A key is\nis read.", "lexical_illusions"),
    ("At the end of the day it works.", "cliches"),
    (LONG, "31 words in one sentence"),
    ("A key is read, a call is repeated, and a line is written.", "3 passives in one sentence"),
])
def test_finds(found, text, what):
    assert any(what in shown for _, shown in found(text))


@pytest.mark.parametrize("text", [
    "A key that comes just before the call. Read it rather than wait.",
    "The AccessKey id of a key, and the AccessKey secret.",
    "Read ``a`` ``b`` and ``simply``.",
    NUMBERS + "and: " + NUMBERS.upper() + "end. A b c d e f g h i j k.",
    "A key is read and a call is repeated.",
    "::\n\n    You can simply read it.\n",
    ".. code-block:: python\n\n   simply = 1\n",
    ".. toctree::\n   :hidden:\n\n   simply\n",
    ".. automodule:: simply\n   :members:\n",
    ".. a comment: simply\n",
    ":doc:`simply` and :class:`~simply.Just`.",
    "`A page <simply.rst>`_ of ours.",
])
def test_leaves_alone(found, text):
    assert found(text) == []


def test_says_the_line_in_paragraphs_titles_lists_and_tables(found):
    page = "\n".join([
        "Simply", "======", "", "Read it", "just once.", "", "- one", "- clearly two", "",
        ".. list-table::", "   :header-rows: 1", "", "   * - key", "     - obviously", "   * - simply", "     - a value"])

    assert [line for line, _ in found(page)] == [2, 5, 8, 14, 15]  # of a title, the line below it


def test_checks_the_english_pages_alone():
    names = {str(page.relative_to(run.ROOT)) for page in run.pages()}

    assert {"README.rst", "CHANGELOG.rst", "docs/operations.rst", "docs/secrets-manager/ram-role.rst"} <= names
    assert not [name for name in names if "zh-cn" in name]
