"""Settings of the manual's site: `make docs` builds it in English and in Korean, without the network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_site"))

from residua.version import __version__

project = "residua"
author = "The residua developers"
release = version = __version__
copyright = author  # noqa: A001 - Sphinx names it so

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "generated",
    "docstrings",
    "mathml",
    "korean_search",
]
exclude_patterns = ["_site", "results/*/**", "lessons", "locale"]
root_doc = "index"
nitpicky = True

# Markdown
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "dollarmath"]
suppress_warnings = ["toc.empty_glob"]

# Reference from docstrings
autodoc_member_order = "bysource"
default_role = "literal"  # docstrings write `code` as Markdown does
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# Names of other packages. The inventory of Python comes from its documentation package (Debian's
# python3.11-doc); the other packages ship no inventory, so their names are left without a link, by rule.
intersphinx_mapping = {"python": ("https://docs.python.org/3", "_site/inventories/python.inv")}
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|torchvision|numpy|np|PIL|Image|nn|Tensor|sklearn|datasets|pandas|typer)(\..*)?"),
    (r"py:.*", r"(fastapi|TelemetryConfig)(\..*)?"),
]

# Pages: furo, whose styles and scripts are its own files. Nothing comes from another server.
html_theme = "furo"
html_math_renderer = "mathml"
html_title = f"residua {__version__}"
html_static_path = ["_site/static"]
html_css_files = ["manual.css"]
html_js_files = [("manual.js", {"defer": "defer"})]
templates_path = ["_site/templates"]
html_copy_source = False
html_show_sphinx = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/languages.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}

# `make man`: what --help prints, as a manual page
man_pages = [("reference/commands", "residua", "residual networks", author, 1)]

# Languages: English in the root of the site, the others in folders beside it
languages = {"en": ("English", ""), "ko": ("한국어", "ko/")}


def link_languages(app, page, template, context, doctree):
    """Give the template of the sidebar each language with its name and the folder of its pages."""
    up = "../" if languages[app.config.language][1] else ""
    context["languages"] = [(code, name, up + folder) for code, (name, folder) in languages.items()]


def setup(app):
    """Add the languages to every page."""
    app.connect("html-page-context", link_languages)


# Languages: strings in locale/<language>/LC_MESSAGES, one file a page
locale_dirs = ["locale"]
gettext_compact = False
gettext_uuid = False
gettext_location = False
