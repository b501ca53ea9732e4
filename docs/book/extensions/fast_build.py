"""What makes the book faster to build and changes nothing in it."""

import gc

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

BATCH = 200_000  # new objects between two looks for garbage; a page is a tree of many thousands
STRIDE = 8


def freeze(app: Sphinx, *_: object) -> None:
    """What is loaded by now, modules and then all that is known of the pages, stays to the end: no garbage there."""
    gc.freeze()


def unfreeze(app: Sphinx, error: Exception | None) -> None:
    """Lets everything go at the end; libraries would complain of what is still there."""
    gc.unfreeze()


def spread(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Moves neighbours apart, which are alike: each process reads a run of pages, and none should get all long ones."""
    pages[:] = [page for start in range(STRIDE) for page in pages[start::STRIDE]]


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    gc.set_threshold(BATCH)
    app.connect("builder-inited", freeze, priority=900)
    app.connect("env-before-read-docs", spread)
    app.connect("env-check-consistency", freeze)
    app.connect("build-finished", unfreeze)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
