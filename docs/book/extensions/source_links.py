"""Links to what is no page of the book: to modules, which have other pages there, and to folders."""

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.osutil import relative_uri


class SourceLinks(SphinxTransform):
    """Links modules to their pages of sphinx.ext.viewcode, and folders to the repository where its address is known."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Applies the transform to one page."""
        for link in list(self.document.findall(addnodes.download_reference)):
            path, _ = self.env.relfn2path(link["reftarget"], self.env.docname)
            page = source_page(Path(path))
            if page:
                address = relative_uri(f"{self.env.docname}.html", page)
                link.replace_self(nodes.reference("", "", *link.children, refuri=address, internal=True))
        for link in list(self.document.findall(addnodes.pending_xref)):
            path, _ = self.env.relfn2path(link["reftarget"], self.env.docname)
            if link["reftype"] == "myst" and (self.env.srcdir / path).is_dir():
                home = self.config.html_theme_options.get("repository_url")
                at_home = nodes.reference("", "", *link.children, refuri=f"{home}/tree/main/{path}")
                link.replace_self(at_home if home else link.children)


def source_page(path: Path) -> str | None:
    """The page for a file of the package, relative to the root of the book; None for other files."""
    if path.parts[0] != "mambadfuse" or path.suffix != ".py":
        return None
    if path.name == "__init__.py":  # says what the part is for; its page of the reference begins with that
        return f"docs/book/api/{'.'.join(path.parent.parts[:2])}.html"
    return f"_modules/{path.with_suffix('').as_posix()}.html"


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.add_transform(SourceLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
