"""The site that ``nox -s docs`` has built into the directory that the variable SITE names."""

import html.parser
import os
import pathlib
import re
import urllib.parse

import pytest

SITE = pathlib.Path(os.environ.get("SITE", ""))
PAGES = sorted(page.relative_to(SITE).as_posix() for page in SITE.glob("**/*.html")
               if "_static" not in page.parts) if "SITE" in os.environ else []
CHINESE = [page for page in PAGES if page.startswith("zh-cn/")]
pytestmark = pytest.mark.skipif("SITE" not in os.environ, reason="needs the site: nox -s docs")


class Page(html.parser.HTMLParser):
    """Collects a page's ids and links, and its links in the sidebar."""

    def __init__(self, page):
        super().__init__()
        self.ids, self.links, self.sidebar = set(), [], []
        self.text = (SITE / page).read_text(encoding="utf-8")
        self.menu = ""
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids.add(attributes.get("id"))
        if tag == "aside":
            self.menu = attributes.get("class", "")
        link = attributes.get("href") or attributes.get("src")
        if link and not re.match("[a-z]+:", link):
            self.links.append(link)
            if "sidebar-drawer" in self.menu:
                self.sidebar.append(link)

    def handle_endtag(self, tag):
        if tag == "aside":
            self.menu = ""


@pytest.fixture(scope="module")
def pages():
    return {page: Page(page) for page in PAGES}


def target(page, link):
    """The file that a link leads to, from the site's root, and the id in it."""
    file, section = urllib.parse.urldefrag(urllib.parse.unquote(link))
    file = file.partition("?")[0]
    return os.path.normpath(os.path.join(os.path.dirname(page), file)) if file else page, section


def test_every_link_leads_to_a_file_and_a_section(pages):
    targets = {(page, link): target(page, link) for page in PAGES for link in pages[page].links}

    assert [at for at, (file, _) in targets.items() if not (SITE / file).is_file()] == []
    assert [at for at, (file, section) in targets.items()
            if section and file in pages and section not in pages[file].ids] == []


def test_page_in_both_languages_links_to_its_twin(pages):
    twins = [(page, page[len("zh-cn/"):]) for page in CHINESE if page[len("zh-cn/"):] in PAGES]

    assert twins
    assert [pair for pair in twins + [pair[::-1] for pair in twins]
            if pair[1] not in {target(pair[0], link)[0] for link in pages[pair[0]].links}] == []


@pytest.mark.parametrize("chinese", [False, True], ids=["english", "chinese"])
def test_sidebar_has_every_page_of_its_language_and_no_other(pages, chinese):
    listed = [page for page in PAGES if (page in CHINESE) == chinese and page not in (
        "genindex.html", "py-modindex.html", "search.html", "index.html", "zh-cn/index.html")]
    shown = {target(listed[0], link)[0] for link in pages[listed[0]].sidebar} - {"index.html", "search.html"}

    assert sorted(shown) == listed


def test_chinese_pages_say_so_to_browsers(pages):
    assert [page for page in PAGES if ('lang="zh-CN"' in pages[page].text) != (page in CHINESE)] == []
