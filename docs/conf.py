"""The site: `pip install '.[docs]' && sphinx-build -W docs docs/_build`."""

import minigan

project = "minigan"
author = "the minigan authors"
release = minigan.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "pydata_sphinx_theme"
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"


def as_plain_text(app, what, name, obj, options, lines):
    """Docstrings are plain text, with formulas: show them as they are in the code."""
    lines[:] = ["::", "", *(f"   {line}" for line in lines), ""]


def setup(app):
    """Sphinx calls this."""
    app.connect("autodoc-process-docstring", as_plain_text)
