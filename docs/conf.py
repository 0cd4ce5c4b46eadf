"""Sphinx: the site (``html``) and the man page (``man``), from the documents, the program and its docstrings."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

import generated  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "conda prune"
author = "the conda prune contributors"
project_copyright = author
release = version = installed_version("conda-prune")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinxcontrib.mermaid"]
myst_enable_extensions = ["deflist"]
myst_fence_as_directive = ["mermaid"]
# The names that GitHub gives to headings.
myst_heading_anchors = 4
# Two dashes are two dashes.
smartquotes = False
# In docstrings, as in Markdown, single backticks are code.
default_role = "code"

# Only `api.__all__` is documented, and signatures also name what is not.
nitpick_ignore_regex = [("py:.*", ".*")]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

html_theme = "conda_sphinx_theme"
html_title = "conda prune"
html_theme_options = {
    "icon_links": [{"name": "GitHub", "url": generated.REPOSITORY, "icon": "fa-brands fa-square-github"}]
}
html_extra_path = ["output.schema.json"]

man_pages = [
    ("reference/command-line", "conda-prune", "remove cached conda packages that no environment uses", [author], 1)
]


def _docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn lines that begin with ``name: meaning``, and those below, into a definition list, and examples into code."""
    written: list[str] = []
    in_definition = in_example = False
    for line in lines:
        if found := re.match(r"([a-z_]+): (\S.*)", line):
            in_definition = True
            written += ["", f"``{found[1]}``", f"    {found[2]}"]
            continue
        indented = line.startswith("    ")
        if indented and not in_definition and not in_example:
            written += ["::", ""]
        in_example = not in_definition and (indented or (in_example and not line))
        in_definition = in_definition and bool(line.strip())
        written.append(f"    {line.strip()}" if in_definition else line)
    lines[:] = written


def setup(app: Sphinx) -> None:
    """Put in the generated parts of pages."""

    def read(app: Sphinx, name: str, source: list[str]) -> None:
        source[0] = generated.page(source[0], DOCS / f"{name}.md")

    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", _docstring)
