"""The docs site: ``nox -s docs``."""

import os
import re
import sys

from docutils import nodes
from docutils.utils import get_source_line
from sphinx import addnodes
from sphinx.environment.adapters.toctree import TocTree
from sphinx.transforms import SphinxTransform

DOCS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(DOCS)
sys.path.insert(0, ROOT)

from aliyun_sdk_secretsmanager_common_plugin import __version__  # noqa: E402

project = "aliyun-sdk-managed-credentials-providers"
release = version = __version__
html_title = "Managed credentials {}".format(release)
html_theme = "furo"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
exclude_patterns = ["_build"]

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"
napoleon_use_ivar = True
toc_object_entries_show_parents = "hide"
nitpick_ignore = [
    ("py:exc", "ServerException"),  # of aliyun-python-sdk-core
    ("py:exc", "ClientException"),
    ("py:class", "aliyun_sdk_secretsmanager_common_plugin.secret_info.SecretInfo"),
]

# Pages that GitHub shows from files outside of docs.
PAGES_OF_FILES = {"README.rst": "index", "README.zh-cn.rst": "zh-cn/index", "CHANGELOG.rst": "changelog",
                  "CONTRIBUTING.rst": "contributing"}
CHINESE = "zh-cn/"


class LinksByFile(SphinxTransform):
    """Makes of links to files, which GitHub follows, links of the site, so that a broken one is a warning.

    A link to a page may end in "#" and the id of a section. Another file becomes a download.
    """

    default_priority = 10

    def apply(self, **options):
        for link in list(self.document.findall(nodes.reference)):
            file, _, section = link.get("refuri", "").partition("#")
            if not file or ":" in file:
                continue
            # What was included is relative to the file that it was included from.
            source, _ = get_source_line(link)
            path = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(source)), file))
            text = nodes.inline("", "", *link.children)
            page = PAGES_OF_FILES.get(os.path.relpath(path, ROOT)) or self.env.path2doc(path)
            if not file.endswith(".rst"):
                link.replace_self(addnodes.download_reference(
                    "", "", text, reftarget="/" + os.path.relpath(path, DOCS), refdoc=self.env.docname))
            else:
                link.replace_self(addnodes.pending_xref(
                    "", text, refdoc=self.env.docname, refdomain="" if section else "std",
                    reftype="section" if section else "doc", reftarget="/" + page, section=section, refexplicit=True,
                    refwarn=True))


class ChineseLines(SphinxTransform):
    """Joins the lines of Chinese text: browsers show a line break as a space, which Chinese does not have."""

    default_priority = LinksByFile.default_priority

    def apply(self, **options):
        if self.env.docname.startswith(CHINESE):
            for text in list(self.document.findall(nodes.Text)):
                joined = re.sub(r"(?<=[\u3000-\uffef])\n(?=[\u3000-\uffef])", "", text)
                if joined != text and not isinstance(text.parent, nodes.FixedTextElement):
                    text.parent.replace(text, nodes.Text(joined))


def link_to_section(app, env, link, text):
    """Resolve a link to a section of a page, if it has that section."""
    page, section = link["reftarget"][1:], link.get("section")
    if not section or page not in env.found_docs or section not in env.get_doctree(page).ids:
        return None
    uri = "{}#{}".format(app.builder.get_relative_uri(link["refdoc"], page), section)
    return nodes.reference("", "", text, internal=True, refuri=uri)


class LinkToTwin(SphinxTransform):
    """Begins a page that exists in both languages with a link to the other one, unless it has such a link."""

    default_priority = LinksByFile.default_priority + 1

    def apply(self, **options):
        page = self.env.docname
        twin, label = (page[len(CHINESE):], "English") if page.startswith(CHINESE) else (CHINESE + page, "简体中文")
        links = [link["reftarget"] for link in self.document.findall(addnodes.pending_xref)]
        title = self.document.next_node(nodes.title)
        if title is None or twin not in self.env.found_docs or "/" + twin in links:
            return
        link = addnodes.pending_xref("", nodes.inline("", label), refdoc=page, refdomain="std", reftype="doc",
                                     reftarget="/" + twin, refexplicit=True, refwarn=True)
        title.parent.insert(title.parent.index(title) + 1, nodes.paragraph("", "", link))


def navigation_of_language(app, page, template, context, doctree):
    """Show in the sidebar only the pages of the page's own language."""
    chinese = page.startswith(CHINESE)
    root = CHINESE + "index" if chinese else "index"
    if chinese:
        context["language"] = "zh-CN"

    def toctree(**options):
        trees = [TocTree(app.env).resolve(page, app.builder, tree, **options)
                 for tree in app.env.get_doctree(root).findall(addnodes.toctree)
                 if chinese or CHINESE + "index" not in tree["includefiles"]]
        return "".join(app.builder.render_partial(tree)["fragment"] for tree in trees if tree)

    context["toctree"] = toctree


def skip_fields(app, what, name, member, skip, options):
    """Leave out the fields of named tuples: the class says what they are."""
    return True if "Alias for field number" in (getattr(member, "__doc__", None) or "") else None


def setup(app):
    app.add_transform(LinksByFile)
    app.add_transform(LinkToTwin)
    app.add_transform(ChineseLines)
    app.connect("missing-reference", link_to_section)
    app.connect("html-page-context", navigation_of_language, priority=400)  # before the theme reads it
    app.connect("autodoc-skip-member", skip_fields)
