"""The Sphinx configuration of the site: ``make docs`` builds it in ``dist/docs``; a broken link fails ``make check``."""

from __future__ import annotations

from api.protocol.version import installed

project = "Civic Ledger"
author = "Civic Ledger maintainers"
release = installed()[1]
extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
html_theme = "alabaster"
html_theme_options = {
    "description": "Governed data sharing between the departments of a city",
    "page_width": "1100px",
}
html_show_sourcelink = False
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
suppress_warnings = ["myst.xref_ambiguous"]
