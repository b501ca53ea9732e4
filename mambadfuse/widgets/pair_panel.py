"""The base of the panels that show what a network does with a pair of images."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from mambadfuse.data.tasks import TASKS
from mambadfuse.fusion.pair import Model
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.widgets.controls import PairChooser, network, network_chooser, task_of
from mambadfuse.widgets.panel import Panel


class PairPanel(Panel):
    """A panel with a choice of pairs and of networks, redrawn when either changes.

    Attributes:
        pairs: the control for the pair.
        network: the control for the name of the network.
        loaded: from that name to the network.
    """

    def __init__(
        self, networks: Mapping[str, Model] | None = None, shipped: Iterable[str] = tuple(TASKS)
    ) -> None:
        super().__init__()
        networks = networks or {}
        self.pairs, self.network = PairChooser(), network_chooser(networks, shipped)
        self.loaded = self.memoised(lambda name: cast(MambaDFuse, network(name, networks)))
        self.pairs.observe(lambda _: self._suit_the_task(), names="pair")
        self.redraw_on(self.network)
        self.redraw_on(self.pairs, trait="pair")
        self.pairs.observe(self._noted, names="note")

    def _noted(self, change: Any) -> None:
        """Shows a note; once there is none left, what the panel says of the pair."""
        if change.new:
            self.tell(change.new)
        else:
            self.redraw()

    def _suit_the_task(self) -> None:
        """Chooses the first network of the pair's task, if the one in use is that of another task."""
        task = self.pairs.task
        fitting = [name for name in self.network.options if task and task_of(name) == task]
        if task_of(self.network.value) and fitting and self.network.value not in fitting:
            self.network.value = fitting[0]
