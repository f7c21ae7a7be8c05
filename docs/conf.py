"""The site: `pip install '.[docs]' && sphinx-build -W docs docs/_build`."""

import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

sys.path.insert(0, str(Path(__file__).parents[1]))

import minigan
from docs.source_lines import ROOT, locate

project = "minigan"
author = "the minigan authors"
release = minigan.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath"]
html_theme = "pydata_sphinx_theme"
html_theme_options = {"header_links_before_dropdown": 3}  # one row: links scroll to below it
html_sidebars = {"**": []}  # no page has pages below it
html_math_renderer = "mathml"
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"


def as_plain_text(app, what, name, obj, options, lines):
    """Docstrings are plain text, with formulas: show them as they are in the code."""
    lines[:] = ["::", "", *(f"   {line}" for line in lines), ""]


# ── {src}`minigan.layers.Dense`: a link to the line where Dense is defined ───────────────────


def source_link(role, rawtext, text, lineno, inliner, options=None, content=()):
    """The link, as docutils asks a role for it."""
    path, line = locate(text)
    uri = f"source/{path}.html#line-{line}"
    return [nodes.reference(rawtext, f"{path}, line {line}", refuri=uri)], []


def source_pages(app):
    """What the links lead to: a page for each of minigan's files, with an anchor at each line."""
    numbered = HtmlFormatter(linenos="inline", lineanchors="line")
    for file in sorted((ROOT / "minigan").rglob("*.py")):
        path = file.relative_to(ROOT).as_posix()
        code = highlight(file.read_text(encoding="utf-8"), PythonLexer(stripnl=False), numbered)
        yield f"source/{path}", {"title": path, "body": f"<h1>{path}</h1>{code}"}, "page.html"


# ── formulas as MathML: every browser knows it, and none has to fetch a script for it ────────


def formula(translator, node):
    """A formula in a line of text."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def displayed_formula(translator, node):
    """A formula in a line of its own."""
    mathml = tex2mathml(node.astext()).replace("<math ", '<math display="block" ', 1)
    translator.body.append(f"<p>{mathml}</p>")
    raise nodes.SkipNode


def setup(app):
    """Sphinx calls this."""
    app.connect("autodoc-process-docstring", as_plain_text)
    app.add_role("src", source_link)
    app.connect("html-collect-pages", source_pages)
    app.add_html_math_renderer("mathml", (formula, None), (displayed_formula, None))
