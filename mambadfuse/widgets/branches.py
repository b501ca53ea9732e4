"""The M3 explorer: which branch of deep fusion contributes to each pixel, block by block, for either gate."""

from collections.abc import Mapping

import ipywidgets as widgets
import numpy as np

from mambadfuse.analysis.branches import (
    BlockMaps,
    DeepInputs,
    Map,
    branch_pictures,
    deep_inputs,
    effect_pictures,
    effects_from,
    maps_from,
    with_gate,
)
from mambadfuse.analysis.comparison import NamedPair
from mambadfuse.fusion.pair import Model
from mambadfuse.widgets.displays import Gallery
from mambadfuse.widgets.pair_panel import PairPanel
from mambadfuse.widgets.panel import labelled, legend, row


class BranchExplorer(PairPanel):
    """Controls for :func:`mambadfuse.analysis.branches.branch_maps`.

    Args:
        networks: further networks to choose from, by name.
        side: the longer side of the images that are fused, in pixels.
    """

    def __init__(self, networks: Mapping[str, Model] | None = None, side: int = 96) -> None:
        super().__init__(networks)
        self.side = side
        self.block = widgets.IntSlider(value=99, min=1, max=99, description="block", **labelled())
        self.gate = widgets.Dropdown(options=["own", "shared"], description="gate", **labelled())
        self.sources, self.maps = Gallery(columns=6), Gallery(columns=7)
        self.gated = self.memoised(lambda name, gate: with_gate(self.mambadfuse(name), gate))
        self.inputs_of = self.memoised(self._inputs_of, last=8)
        self.maps_of = self.memoised(self._maps_of, last=8)
        self.effects_of = self.memoised(self._effects_of, last=8)
        self.redraw_on(self.block, self.gate)
        controls = [self.pairs, row(self.network, self.block, self.gate)]
        measures = legend(
            "Share: the norm of the contribution of a branch over the sum of all three. Gate: mean of |silu(z)|. "
            "Effect: grey levels of 255 by which a pixel moves if the branch is silent in all blocks. Dark blue is 0, "
            "yellow the maximum of the three. Where share and effect disagree, neither proves anything."
        )
        displays = [self.sources, self.maps, measures]
        self.arrange("M3 explorer: which branch carries each pixel?", controls, displays)

    def draw(self) -> str:
        """Shows the maps of one block; the message says what a shared gate changes."""
        pair, trained = self.pairs.pair, self.mambadfuse(self.network.value)
        own = trained.config.gate
        gate = own if own == "shared" else self.gate.value
        blocks, fused = self.maps_of(pair, self.network.value, gate)
        self.block.max = max(1, len(blocks))
        small = pair.shrunk(self.side)
        grey = (255 * np.stack([*(x[0, 0].numpy() for x in small.tensors()), fused])).round().astype(np.uint8)
        pictures = dict(zip(("a", "b", f"fused, {gate} gate"), grey, strict=True))
        if not blocks:
            self.sources.show(pictures)
            self.maps.show({})
            return "This network has no M3 block."
        self.maps.show(branch_pictures(blocks[self.block.value - 1]))  # first, since effects take longer
        effects = self.effects_of(pair, self.network.value, gate)
        self.sources.show({**pictures, **effect_pictures(effects)})
        if own == "shared":
            return "This network was trained with a shared gate: its branches have no gates of their own."
        if gate == own:
            return f"Block {self.block.value} of {len(blocks)}, as trained."
        moved = 255 * np.abs(fused - self.maps_of(pair, self.network.value, own)[1]).mean()
        return f"The same weights with one gate: the fused image changes by {moved:.1f} of 255 grey levels."

    def _maps_of(self, pair: NamedPair, name: str, gate: str) -> tuple[list[BlockMaps], Map]:
        return maps_from(self.gated(name, gate), self.inputs_of(pair, name))

    def _effects_of(self, pair: NamedPair, name: str, gate: str) -> dict[str, Map]:
        _, fused = self.maps_of(pair, name, gate)
        return effects_from(self.gated(name, gate), self.inputs_of(pair, name), fused)

    def _inputs_of(self, pair: NamedPair, name: str) -> DeepInputs:
        return deep_inputs(self.mambadfuse(name), *pair.shrunk(self.side).tensors())
