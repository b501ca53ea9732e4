"""What every test file shares: figures without a screen, property tests without a stopwatch, no loop left running."""

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TRITON_INTERPRET", "1")  # no test needs a GPU; Triton reads this when it is imported

SLOWEST = (  # two workers share the files; those that take minutes go first, so that both end together
    "test_panels",
    "test_assignments",
    "test_ops_traced",
    "test_book_pages",
    "test_ops_triton",
    "test_export",
    "test_book",
)

settings.register_profile("kit", deadline=None)
settings.load_profile("kit")


@pytest.fixture(scope="module", autouse=True)
def no_loop_left_running() -> Iterator[None]:
    """Playwright runs an event loop until its browser is closed: in that thread no later file could start another."""
    yield
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the slowest files first; the order within a file stays."""
    items.sort(key=lambda item: SLOWEST.index(item.path.stem) if item.path.stem in SLOWEST else len(SLOWEST))
