"""The docs site: ``nox -s docs``."""

import os
import sys

from docutils import nodes
from docutils.utils import get_source_line
from sphinx import addnodes
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


class PagesByFile(SphinxTransform):
    """Makes of links to files, which GitHub follows, links to their pages, so that a broken one is a warning."""

    default_priority = 10

    def apply(self, **options):
        for link in list(self.document.findall(nodes.reference)):
            file = link.get("refuri", "")
            if file.endswith(".rst") and "://" not in file:
                # What was included is relative to the file that it was included from.
                source, _ = get_source_line(link)
                path = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(source)), file))
                page = PAGES_OF_FILES.get(os.path.relpath(path, ROOT)) or self.env.path2doc(path)
                link.replace_self(addnodes.pending_xref(
                    "", nodes.inline("", "", *link.children), refdoc=self.env.docname, refdomain="std", reftype="doc",
                    reftarget="/{}".format(page), refexplicit=True, refwarn=True))


def skip_fields(app, what, name, member, skip, options):
    """Leave out the fields of named tuples: the class says what they are."""
    return True if "Alias for field number" in (getattr(member, "__doc__", None) or "") else None


def setup(app):
    app.add_transform(PagesByFile)
    app.connect("autodoc-skip-member", skip_fields)
