"""The M3 explorer: which branch of deep fusion carries each pixel, block by block, with own or shared gates."""

from collections.abc import Mapping
from typing import cast

import ipywidgets as widgets
import numpy as np

from mambadfuse.analysis.branches import BlockMaps, Map, branch_maps, branch_pictures, with_gate
from mambadfuse.analysis.comparison import NamedPair
from mambadfuse.fusion.pair import Model
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.widgets.controls import PairChooser, network, network_dial
from mambadfuse.widgets.displays import Gallery
from mambadfuse.widgets.panel import Panel, labelled, row


class BranchExplorer(Panel):
    """Dials on :func:`mambadfuse.analysis.branches.branch_maps`.

    Args:
        networks: further networks to choose from, by name.
        side: the longer side of the pictures that are looked at, in pixels.
    """

    def __init__(self, networks: Mapping[str, Model] | None = None, side: int = 96) -> None:
        super().__init__()
        self.networks, self.side = networks or {}, side
        self.pairs, self.network = PairChooser(), network_dial(self.networks)
        self.block = widgets.IntSlider(value=99, min=1, max=99, description="block", **labelled())
        self.gate = widgets.Dropdown(options=["own", "shared"], description="gate", **labelled())
        self.sources, self.maps = Gallery(), Gallery()
        self.loaded = self.remembered(lambda name: cast(MambaDFuse, network(name, self.networks)))
        self.seen = self.remembered(self._see, last=8)
        self.follow(self.network, self.block, self.gate)
        self.follow(self.pairs, trait="pair")
        self.pairs.observe(lambda change: self.tell(change.new), names="note")
        dials = [self.pairs, row(self.network, self.block, self.gate)]
        legend = widgets.HTML(
            "<small>Share: the length of what a branch contributes, among all three. Gate: mean of |silu(z)|. "
            "Dark blue is 0, yellow the largest of the row.</small>"
        )
        screens = [self.sources, self.maps, legend]
        self.arrange("M3 explorer: which branch carries each pixel?", dials, screens)

    def draw(self) -> str:
        """Shows the maps of one block, and says what a shared gate changes."""
        pair, trained = self.pairs.pair, self.loaded(self.network.value)
        own = trained.config.gate
        gate = own if own == "shared" else self.gate.value
        blocks, fused = self.seen(pair, self.network.value, gate)
        self.block.max = max(1, len(blocks))
        small = pair.shrunk(self.side)
        grey = (255 * np.stack([*(x[0, 0].numpy() for x in small.tensors()), fused])).round().astype(np.uint8)
        self.sources.show(dict(zip(("a", "b", f"fused, {gate} gate"), grey, strict=True)))
        if not blocks:
            return "This network has no M3 block."
        self.maps.show(branch_pictures(blocks[self.block.value - 1]))
        if own == "shared":
            return "This network was trained with a shared gate: it has no own ones."
        if gate == own:
            return f"Block {self.block.value} of {len(blocks)}, as trained."
        moved = 255 * np.abs(fused - self.seen(pair, self.network.value, own)[1]).mean()
        return f"The same weights, read with one gate: the fused picture moves by {moved:.1f} of 255 grey levels."

    def _see(self, pair: NamedPair, name: str, gate: str) -> tuple[list[BlockMaps], Map]:
        return branch_maps(with_gate(self.loaded(name), gate), *pair.shrunk(self.side).tensors())
