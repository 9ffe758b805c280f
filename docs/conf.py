"""Sphinx configuration; ``python -m sphinx -W docs docs/_build`` builds the site and fails on any warning."""

import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

root = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(root))

import refimpl  # noqa: E402
from refimpl.infinite.kernel import Fields, Limit  # noqa: E402
from refimpl.infinite.positivity import Certificate  # noqa: E402
from refimpl.infinite.power_series import Coefficients, power_series  # noqa: E402
from refimpl.infinite.sphere import SphereKernel  # noqa: E402
from verification import mathml  # noqa: E402

project = "refimpl"
author = "The refimpl authors"
project_copyright = "2026, The refimpl authors"
version = release = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "api/modules.rst"]
html_theme = "furo"
html_title = f"refimpl {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# The report of `python -m verification`, one file that loads nothing, becomes a page of the site if it is there.
report = Path(os.environ.get("VERIFICATION_REPORT", root / "verification-report")) / "report.html"
if report.is_file():
    tags.add("report")  # noqa: F821  # Sphinx puts `tags` here

# The public names have pages of their own in reference/; here is one page for each module with other names.
# They are generated, never committed.
apidoc_modules = [
    {
        "path": "../refimpl",
        "destination": "api",
        "separate_modules": True,
        "module_first": True,
        "automodule_options": {"members"},
        "exclude_patterns": [
            f"../refimpl/{module}.py" for module in ("activations", "errors", "network", "parameters", "data/*")
        ],
    }
]
# A name that a package re-exports is described once, so every reference has one target.
autodoc_default_options = {"ignore-module-all": True, "members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings state types and shapes
default_role = "py:obj"  # `Gauss` in a docstring is a name: a link where there is something to link to
napoleon_google_docstring = False
# Names and types in a docstring are prose ("t : array, shape (N, d)"), not references to look up.
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]

plot_include_source = True
plot_html_show_source_link = plot_html_show_formats = False
plot_formats = ["svg"]
plot_apply_rcparams = True
plot_rcparams = {
    # Okabe and Ito, "Color universal design" (2008), without their yellow, too pale for a line on white.
    "axes.prop_cycle": "cycler('color', ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000'])"
    " + cycler('linestyle', ['-', '--', '-.', ':', '-', '--', '-.'])",
    "figure.figsize": (6.4, 4.0), "figure.constrained_layout.use": True, "image.cmap": "cividis",
    "axes.grid": True, "grid.color": "#E3E3E3", "axes.axisbelow": True, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "docs",
}  # fmt: skip

RETURNED = (Limit, Fields, SphereKernel, Certificate, Coefficients, power_series)  # public, though not in `refimpl`
logger = logging.getLogger(__name__)


def bars_are_mathematics(app, what, name, obj, options, lines):
    """Escape bars: |x| is an absolute value here, and to reStructuredText a substitution."""
    literal = None  # indentation of the line that a literal block follows
    for i, line in enumerate(lines):
        indentation = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indentation <= literal:
            literal = None
        if literal is None and not line.lstrip().startswith((">>>", "...")):
            parts = line.split("``")  # every second part is literal text
            lines[i] = "``".join(part if k % 2 else part.replace("|", r"\|") for k, part in enumerate(parts))
            literal = indentation if line.endswith("::") else None


def indented_lines_are_formulas(app, what, name, obj, options, lines):
    """Keep the lines of an indented block of formulas: to reStructuredText it would be a quotation, set as prose."""
    for i in range(len(lines) - 1, 1, -1):
        before = next((line for line in reversed(lines[:i]) if line.strip()), "")
        deeper = len(lines[i]) - len(lines[i].lstrip()) > len(before) - len(before.lstrip())
        prose = not re.match(r"\s*([:.*-]|\d+\.)", before) and not before.endswith("::")
        if lines[i].strip() and not lines[i - 1].strip() and deeper and prose:
            lines[i:i] = [" " * (len(before) - len(before.lstrip())) + "::", ""]


def public_objects():
    """Target of a link, and object."""
    yield from ((f"refimpl.{name}", getattr(refimpl, name)) for name in refimpl.__all__)
    yield from ((f"{each.__module__}.{each.__name__}", each) for each in RETURNED)


def described_in_reference(app, what, name, obj, skip, options):
    """Leave the public names out of the pages of their modules: they are described in reference/."""
    elsewhere = not app.env.current_document.docname.startswith("reference/")
    return True if what == "module" and elsewhere and any(obj is known for _, known in public_objects()) else None


def point_to_reference(app, what, name, obj, options, lines):
    """Say on the page of a module where its public names are described."""
    if what == "module" and not app.env.current_document.docname.startswith("reference/"):
        targets = [target for target, known in public_objects() if getattr(known, "__module__", None) == name]
        if targets:
            lines += ["", "Described in the reference: " + ", ".join(f":py:obj:`{target}`" for target in targets) + "."]


def all_public_names_are_described(app, env):
    """Warn, and with -W fail, if a name of `refimpl` has no place in reference/."""
    described = {name for name, *_ in env.domains["py"].get_objects()}
    for name in refimpl.__all__:
        if f"refimpl.{name}" not in described:
            logger.warning("refimpl.%s is described on no page of docs/reference", name)


def mathml_of(node, latex, set_by=mathml.formula):
    """MathML; a formula that cannot be read is a warning, which -W turns into a failure."""
    try:
        return str(set_by(latex))
    except ValueError as error:
        logger.warning("%s", error, location=node)
        return ""


def visit_math(self, node):
    """Inline formula as MathML: no script, no font, nothing from the network."""
    self.body.append(mathml_of(node, node.astext()))
    raise nodes.SkipNode


def visit_math_block(self, node):
    r"""Formula on a line of its own; ``\tag{3}`` puts the number (3) of the paper beside it."""
    latex, number = node.astext(), ""
    if tag := re.search(r"\\tag\{([^}]*)\}", latex):
        latex, number = latex.replace(tag[0], ""), f'<span class="eqno">({tag[1]})</span>'
    formula = mathml_of(node, latex.strip(), mathml.displayed)
    self.body.append(self.starttag(node, "div", CLASS="formula") + formula + number + "</div>\n")
    raise nodes.SkipNode


def no_blank_line_at_the_end(app, doctree):
    """Drop the blank line that a doctest needs between its last output and the closing fence."""
    for block in list(doctree.findall(nodes.literal_block)):
        text = block.astext().rstrip()
        block.rawsource, block.children = text, [nodes.Text(text)]


def keep_punctuation(app, doctree, docname):
    """A browser may break the line between a formula and the full stop behind it: tie them together."""
    for formula in list(doctree.findall(nodes.math)):
        following = formula.next_node(descend=False, siblings=True)
        mark = re.match(r"[).,;:!?]+|[-–][^\s]+|'s", following.astext()) if isinstance(following, nodes.Text) else None
        if mark:
            parent, rest = formula.parent, following.astext()[mark.end() :]
            at = parent.index(formula)
            tied = nodes.inline("", "", formula.deepcopy(), nodes.Text(mark[0]), classes=["unbroken"])
            parent[at : at + 2] = [tied, nodes.Text(rest)]


def copy_report(app, exception):
    """Put the verification report beside the pages; html_extra_path would overwrite the page that explains it."""
    if exception is None and app.tags.has("report"):
        shutil.copy(report, Path(app.outdir) / "verification-report.html")


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("autodoc-process-docstring", indented_lines_are_formulas)
    app.connect("autodoc-process-docstring", bars_are_mathematics)
    app.connect("autodoc-process-docstring", point_to_reference)
    app.connect("autodoc-skip-member", described_in_reference)
    app.connect("doctree-read", no_blank_line_at_the_end)
    app.connect("doctree-resolved", keep_punctuation)
    app.connect("build-finished", copy_report)
    app.connect("env-check-consistency", all_public_names_are_described)
