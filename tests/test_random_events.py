"""Hundreds of random events on all panels at once: nothing goes wrong, nothing grows, nothing is left behind.

A longer run: ``python tests/test_random_events.py 20000 3`` (events and seed); an hour at the pace of a hand:
``python tests/test_random_events.py 7200 3 0.5`` (and seconds between events).
"""

import asyncio
import ctypes
import gc
import os
import random
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import ipywidgets as widgets
import psutil
import pytest
from ipywidgets.widgets.widget import _instances
from panel_cases import PANELS, png, workers

from mambadfuse.widgets.panel import Panel, tree
from mambadfuse.widgets.preference import BlindPreference

EVENTS = 500


def move(widget: widgets.Widget, chance: random.Random) -> None:
    """What a user might do with this control."""
    if isinstance(widget, widgets.FileUpload):
        contents = [b"junk", png(20, 20), png(42, 44, seed=1), png(44, 42)[: chance.randrange(1, 3000)]]
        file = {"name": "x.png", "type": "", "size": 1, "content": memoryview(chance.choice(contents))}
        widget.value = ({**file, "last_modified": datetime.now(UTC)},)
    elif isinstance(widget, widgets.Button):
        widget.click()
    elif isinstance(widget, widgets.ToggleButton | widgets.Checkbox):
        widget.value = not widget.value
    elif isinstance(widget, widgets.FloatLogSlider):
        widget.value = widget.base ** chance.uniform(widget.min, widget.max)
    elif isinstance(widget, widgets.IntSlider):
        widget.value = chance.randint(widget.min, widget.max)
    elif isinstance(widget, widgets.FloatSlider):
        widget.value = chance.uniform(widget.min, widget.max)
    elif isinstance(widget, widgets.Dropdown | widgets.ToggleButtons):
        widget.index = chance.randrange(len(widget.options))
    elif isinstance(widget, widgets.Text):
        widget.value = chance.choice(["1 0 0 0 2", "saved.png", "", "1 2 x", "nowhere/there.png", "0 0 0"])


MOVABLE = (
    widgets.FileUpload, widgets.Button, widgets.ToggleButton, widgets.IntSlider, widgets.FloatSlider,
    widgets.FloatLogSlider, widgets.Dropdown, widgets.ToggleButtons, widgets.Text, widgets.Checkbox,
)  # fmt: skip
EXPECTED = (
    "x.png",
    "must be of one size",
    "a signal ",
    "suffix",
    "cannot be written",
    "exists already",
    "pixels",
    "tick 2 to 6 rows",
)


@pytest.mark.slow
def test_five_hundred_random_events(tmp_path, monkeypatch):
    """No error that is not about the input, no thread, no process, no growing memory, no widget left."""
    monkeypatch.chdir(tmp_path)
    here, threads = len(_instances), threading.active_count()
    panels = [make(tmp_path) for make in PANELS.values()]
    sizes = asyncio.run(hands_on(panels, EVENTS))
    assert sizes[-1] - sizes[0] < 30_000_000  # bytes
    for panel in panels:
        panel.close()
    for voting in voters(panels):
        voting.ahead.shutdown(wait=True)
    assert threading.active_count() == threads
    assert not workers()
    assert len(_instances) == here


def memory_in_use() -> int:
    """Resident bytes, without those that were freed and that the C library of Linux would keep for later."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss


def voters(panels: list[Panel]) -> list[BlindPreference]:
    """The panels that fuse ahead in a thread."""
    return [panel for panel in panels if isinstance(panel, BlindPreference)]


async def hands_on(panels: list[Panel], events: int, seed: int = 7, pause: float = 0) -> list[int]:
    """Moves whatever can be moved; returns the memory that is used after the first half and after the second."""
    chance, open_now, sizes = random.Random(seed), len(_instances), []
    controls = [
        (panel, widget)
        for panel in panels
        for widget in tree(panel)
        if isinstance(widget, MOVABLE) and widget not in (panel.closer, getattr(panel, "side", None))
    ]
    for event in range(events):
        panel, widget = chance.choice(controls)
        if not getattr(widget, "disabled", False):
            move(widget, chance)
        await asyncio.sleep(pause)  # the lab may look at what it trains
        error = panel.text.removeprefix("Error: ") if panel.text.startswith("Error: ") else ""
        assert not error or any(known in error for known in EXPECTED), f"event {event}: {error}"
        assert "failed" not in panel.text
        assert len(_instances) < open_now + 60  # displays that a gallery did not need before
        if event + 1 in (events // 2, events):
            for voting in voters(panels):
                voting.ahead.submit(int).result()  # the images of the next question are fused
            sizes.append(memory_in_use())
    return sizes


if __name__ == "__main__":
    with TemporaryDirectory() as desk:
        os.chdir(desk)
        all_panels = [make(Path(desk)) for make in PANELS.values()]
        count, number, *seconds = sys.argv[1:]
        print(asyncio.run(hands_on(all_panels, int(count), int(number), *map(float, seconds))))
        for one in all_panels:
            one.close()
        print(workers(), threading.enumerate(), len(_instances))
