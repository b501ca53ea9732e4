"""Links to Python files of the package lead to their text in the book; a browser would download them otherwise."""

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.osutil import relative_uri


class SourceLinks(SphinxTransform):
    """Turns each download of a module into a link to its page of sphinx.ext.viewcode."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Applies the transform to one page."""
        for link in list(self.document.findall(addnodes.download_reference)):
            path, _ = self.env.relfn2path(link["reftarget"], self.env.docname)
            page = source_page(Path(path))
            if page:
                address = relative_uri(f"{self.env.docname}.html", page)
                link.replace_self(nodes.reference("", "", *link.children, refuri=address, internal=True))


def source_page(path: Path) -> str | None:
    """The page with the text of a file of the package, relative to the root of the book; None for other files."""
    if path.parts[0] != "mambadfuse" or path.suffix != ".py":
        return None
    module = path.with_suffix("")
    return f"_modules/{(module.parent if module.name == '__init__' else module).as_posix()}.html"


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.add_transform(SourceLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
