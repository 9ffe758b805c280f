"""Sphinx configuration; ``python -m sphinx -W docs docs/_build`` builds the site and fails on any warning."""

import tomllib
from pathlib import Path

project = "refimpl"
author = "The refimpl authors"
project_copyright = "2026, The refimpl authors"
_pyproject = Path(__file__).parents[1] / "pyproject.toml"
version = release = tomllib.loads(_pyproject.read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"refimpl {release}"

# One page for each module that exists; the pages are generated, never committed.
apidoc_modules = [{"path": "../refimpl", "destination": "api", "separate_modules": True, "module_first": True}]
# A name that a package re-exports is described once, where it is defined, so every reference has one target.
autodoc_default_options = {"ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings state types and shapes
napoleon_google_docstring = False
# Names and types in a docstring are prose ("t : array, shape (N, d)"), not references to look up.
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]


def bars_are_mathematics(app, what, name, obj, options, lines):
    """Escape bars: |x| is an absolute value here, and to reStructuredText a substitution."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = line.split("``")  # every second part is literal text
            lines[i] = "``".join(part if k % 2 else part.replace("|", r"\|") for k, part in enumerate(parts))


def setup(app):
    app.connect("autodoc-process-docstring", bars_are_mathematics)
