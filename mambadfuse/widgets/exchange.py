"""The channel-exchange explorer: which channels are exchanged, and the effect on features and fused image."""

from collections.abc import Mapping

import ipywidgets as widgets
import numpy as np

from mambadfuse.analysis.comparison import NamedPair
from mambadfuse.analysis.exchange import (
    ExchangeMaps,
    changed_pictures,
    channel_strip,
    exchange_maps,
    exchange_pictures,
)
from mambadfuse.fusion.pair import Model
from mambadfuse.widgets.displays import Display, Gallery
from mambadfuse.widgets.pair_panel import PairPanel
from mambadfuse.widgets.panel import labelled, legend, row


class ExchangeExplorer(PairPanel):
    """Controls for :func:`mambadfuse.analysis.exchange.exchange_maps`.

    Args:
        networks: further networks to choose from, by name.
        side: the longer side of the images that are fused, in pixels.
    """

    def __init__(self, networks: Mapping[str, Model] | None = None, side: int = 64) -> None:
        super().__init__(networks)
        self.side = side
        self.period = widgets.IntSlider(value=2, min=0, max=8, description="period", **labelled())
        self.offset = widgets.IntSlider(value=0, min=0, max=1, description="offset", **labelled())
        self.channel = widgets.IntSlider(value=4, min=0, max=7, description="channel", **labelled())
        self.block = widgets.IntSlider(value=1, min=1, max=9, description="block", **labelled())
        self.strip, self.gallery, self.fused = Display(), Gallery(), Gallery(columns=3)
        self.maps_of = self.memoised(self._maps_of, last=12)
        self.redraw_on(self.period, self.offset, self.channel, self.block)
        controls = [self.pairs, row(self.network, self.block, self.channel), row(self.period, self.offset)]
        scales = legend(
            "The four maps of a row share one scale. Grad-CAM of the mean brightness of the fused image: "
            "mid-grey is 0, yellow brightens it, blue darkens it. The difference has the same colours."
        )
        self.gallery.layout.width, self.fused.layout.width = "56%", "42%"
        displays = [self.strip, widgets.HBox([self.gallery, self.fused]), scales]
        self.arrange("Channel-exchange explorer: what changes sides?", controls, displays)

    def draw(self) -> str:
        """Shows one channel and the Grad-CAM maps; the message says how much the fused image changes."""
        pair, name, period = self.pairs.pair, self.network.value, self.period.value
        config = self.mambadfuse(name).config
        if not config.exchange_depth:
            self._show_nothing()
            return "This network has no exchange block."
        self.offset.max = max(0, period - 1)
        self.block.max, self.channel.max = config.exchange_depth, config.dim - 1
        maps = self.maps_of(pair, name, period, self.offset.value, self.block.value)
        channel = self.channel.value
        title = f"the {len(maps.swapped)} channels, bright where exchanged; selected: {channel}"
        self.strip.show(channel_strip(maps.swapped, channel), title)
        self.gallery.show(exchange_pictures(maps, channel))
        # the fused image is the same whichever block is recorded
        trained = self.maps_of(pair, name, config.exchange_period, 0, 1)
        self.fused.show(changed_pictures(maps.fused, trained.fused))
        moved = 255 * np.abs(maps.fused - trained.fused).mean()
        return (
            f"{maps.swapped.sum()} of {len(maps.swapped)} channels change sides. "
            f"Compared with the exchange of its training (period {config.exchange_period}, offset 0), "
            f"the fused image changes by {moved:.1f} of 255 grey levels."
        )

    def _show_nothing(self) -> None:
        self.strip.value = ""
        for gallery in (self.gallery, self.fused):
            gallery.show({})

    def _maps_of(self, pair: NamedPair, name: str, period: int, offset: int, block: int) -> ExchangeMaps:
        small = pair.shrunk(self.side).tensors()
        return exchange_maps(self.mambadfuse(name), *small, period, offset, block - 1)
