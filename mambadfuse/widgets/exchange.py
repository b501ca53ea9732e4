"""The channel-exchange explorer: which channels change sides, and what that does to features and result."""

from collections.abc import Mapping
from typing import cast

import ipywidgets as widgets
import numpy as np

from mambadfuse.analysis.comparison import NamedPair
from mambadfuse.analysis.exchange import ExchangeMaps, channel_strip, exchange_maps, exchange_pictures
from mambadfuse.fusion.pair import Model
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.widgets.controls import PairChooser, network, network_dial
from mambadfuse.widgets.displays import Gallery, Screen, encoded
from mambadfuse.widgets.panel import Panel, labelled, row


class ExchangeExplorer(Panel):
    """Dials on :func:`mambadfuse.analysis.exchange.exchange_maps`.

    Args:
        networks: further networks to choose from, by name.
        side: the longer side of the pictures that are looked at, in pixels.
    """

    def __init__(self, networks: Mapping[str, Model] | None = None, side: int = 64) -> None:
        super().__init__()
        self.networks, self.side = networks or {}, side
        self.pairs, self.network = PairChooser(), network_dial(self.networks)
        self.period = widgets.IntSlider(value=2, min=0, max=8, description="period", **labelled())
        self.offset = widgets.IntSlider(value=0, min=0, max=1, description="offset", **labelled())
        self.channel = widgets.IntSlider(value=4, min=0, max=7, description="channel", **labelled())
        self.block = widgets.IntSlider(value=1, min=1, max=9, description="block", **labelled())
        self.strip, self.gallery = Screen(), Gallery()
        self.loaded = self.remembered(lambda name: cast(MambaDFuse, network(name, self.networks)))
        self.seen = self.remembered(self._see, last=12)
        self.follow(self.network, self.period, self.offset, self.channel, self.block)
        self.follow(self.pairs, trait="pair")
        self.pairs.observe(lambda change: self.tell(change.new), names="note")
        dials = [self.pairs, row(self.network, self.block, self.channel), row(self.period, self.offset)]
        legend = widgets.HTML(
            "<small>Within a row dark to bright is one scale. Grad-CAM of the mean brightness of the fused picture: "
            "middle grey is 0, yellow brightens it, blue darkens it.</small>"
        )
        screens = [self.strip, self.gallery, legend]
        self.arrange("Channel-exchange explorer: what changes sides?", dials, screens)

    def draw(self) -> str:
        """Shows one channel and the Grad-CAM maps, and says how far the fused picture moved."""
        pair, name, period = self.pairs.pair, self.network.value, self.period.value
        config = self.loaded(name).config
        self.offset.max = max(0, period - 1)
        self.block.max, self.channel.max = config.exchange_depth, config.dim - 1
        maps = self.seen(pair, name, period, self.offset.value, self.block.value)
        channel = self.channel.value
        title = f"the {len(maps.swapped)} channels, bright where exchanged; shown: {channel}"
        self.strip.show(encoded(channel_strip(maps.swapped, channel)), title)
        self.gallery.show(exchange_pictures(maps, channel))
        trained = self.seen(pair, name, config.exchange_period, 0, self.block.value)
        moved = 255 * np.abs(maps.fused - trained.fused).mean()
        return (
            f"{maps.swapped.sum()} of {len(maps.swapped)} channels change sides. Against the exchange of the training "
            f"(period {config.exchange_period}, offset 0) the fused picture moves by {moved:.1f} of 255 grey levels."
        )

    def _see(self, pair: NamedPair, name: str, period: int, offset: int, block: int) -> ExchangeMaps:
        small = pair.shrunk(self.side).tensors()
        return exchange_maps(self.loaded(name), *small, period, offset, block - 1)
