"""References in docstrings to names of the package that have their entry elsewhere, as ``mambadfuse.fuse`` has."""

from pkgutil import resolve_name

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode


def resolve(
    app: Sphinx, env: BuildEnvironment, reference: addnodes.pending_xref, text: nodes.TextElement
) -> nodes.Element | None:
    """A link to the entry of an object; its text alone, where it has none; None if there is no such name."""
    if reference.get("refdomain") != "py":
        return None
    for name in (reference["reftarget"], f"{reference.get('py:module')}.{reference['reftarget']}"):
        try:
            found = resolve_name(name)
        except (ImportError, AttributeError, ValueError):
            continue
        home = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
        entry = env.get_domain("py").objects.get(home)
        if entry:
            return make_refnode(app.builder, reference["refdoc"], entry.docname, entry.node_id, text, home)
        return text
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
