"""The base of the panels that show what a network does with a pair of images."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

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
        networks: those that were given, by name.
        loaded: from the name to the network.
    """

    def __init__(
        self, networks: Mapping[str, Model] | None = None, shipped: Iterable[str] = tuple(TASKS)
    ) -> None:
        super().__init__()
        self.networks = networks or {}
        self.pairs, self.network = PairChooser(), network_chooser(self.networks, shipped)
        self.loaded: Callable[[str], nn.Module] = self.memoised(lambda name: network(name, self.networks))
        self.pairs.observe(lambda _: self._suit_the_task(), names="pair")
        self.redraw_on(self.network)
        self.redraw_on(self.pairs, trait="pair")
        self.pairs.observe(self._noted, names="note")

    def mambadfuse(self, name: str) -> MambaDFuse:
        """The network of that name, for a panel that looks into its blocks.

        Raises:
            ValueError: it is another kind of network.
        """
        found = self.loaded(name)
        if not isinstance(found, MambaDFuse):
            raise ValueError(f"{name}: this panel needs a MambaDFuse, found a {type(found).__name__}")
        return found

    def _noted(self, change: Any) -> None:
        """Shows a note; once there is none left, what the panel says of the pair."""
        if change.new:
            self.tell(change.new)
        else:
            self.redraw()

    def _suit_the_task(self) -> None:
        """Chooses the first network of the pair's task, if the one in use is that of another task."""
        tasks = {name: task_of(name) for name in self.network.options if name not in self.networks}
        fitting = [name for name, task in tasks.items() if task and task == self.pairs.task]
        if tasks.get(self.network.value) and fitting and self.network.value not in fitting:
            self.network.value = fitting[0]
