"""How Sphinx makes the book (make book): from the stored outputs of the notebooks, running nothing, using no network.

The source folder is the repository, so that links between its pages are the same here as in the repository.
"""

import os
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE / "extensions")]

# Formulas as SVG: it takes one file, and no fonts, which a browser may refuse to load from a folder.
MATHJAX = files("sphinx-mathjax-offline") / "static" / "mathjax" / "tex-svg.js"
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

project, release, copyright = "The MambaDFuse kit", METADATA["version"], METADATA["authors"][0]["name"]
root_doc = "docs/book/index"
extensions = [
    "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx.ext.mathjax",
    "sphinx_argparse_cli", "sphinx_copybutton",
    "api_pages", "fast_build", "glossary_links", "notebook_cells", "own_names", "source_links",
]  # fmt: skip
include_patterns = [
    "README.md", "CONTRIBUTING.md", "docs/*.md", "docs/teaching/*.md", "docs/book/**.md", "notebooks/README.md",
    "notebooks/[0-9][0-9]_*.ipynb", "weights/*.md", "data_samples/README.md", "benchmarks/NOTES.md",
]  # fmt: skip
exclude_patterns = [
    ".*", "outputs", "build", "dist", "runs", "tests", "mambadfuse", "notebooks/student", "notebooks/app",
]  # fmt: skip
nitpicky = True
nitpick_ignore_regex = [  # types of other packages, and variables of types
    ("py:.*", r"(?!mambadfuse\.)\w+(\.\w+)+|ArrayLike|NDArray|RequestException|HfHubHTTPError|Module|P|T")
]
suppress_warnings = ["ref.python"]  # several classes are called Result, each in its module

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
viewcode_follow_imported_members = False
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static", str(MATHJAX)]
mathjax_path = MATHJAX.name
mathjax3_config = {"options": {"enableMenu": False}}  # its entries would load more files
html_css_files = ["book.css"]
html_js_files = [("book.js", {"defer": "defer"})]
templates_path = ["templates"]
html_additional_pages = {"index": "redirect.html"}
html_copy_source = True
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_theme_options = {"use_download_button": True, "navbar_persistent": [], "collapse_navbar": True}
# The address of the repository stands in CITATION.cff. Where it does not, the workflow that publishes the book says
# where it runs; without either, there are no buttons that would need it.
if ADDRESS := CITATION.get("repository-code") or os.environ.get("BOOK_REPOSITORY"):
    html_theme_options |= {
        "repository_url": ADDRESS,
        "repository_branch": "main",
        "path_to_docs": "",
        "use_repository_button": True,
        "use_source_button": True,
        "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    }
