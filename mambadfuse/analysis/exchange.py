"""What channel exchange moves: features before and after, and where they affect the fused image (Grad-CAM).

Letters: L length (tokens), C model width, H and W height and width.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mambadfuse.analysis.colormap import ORANGE, Picture, coloured, common_range
from mambadfuse.fusion.postprocess import postprocess
from mambadfuse.models.mamba import Caches, to_map
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.models.shallow_fusion import ExchangeBlock, exchange_channels

Map = NDArray[np.floating]
PLACES = ("a before", "b before", "a after", "b after")


class RecordingExchange(nn.Module):
    """An exchange block that swaps the channels c with (c − offset) mod period = 0 and records its streams."""

    def __init__(self, block: ExchangeBlock, period: int, offset: int) -> None:
        super().__init__()
        self.block, self.period, self.offset = block, period, offset
        self.streams: dict[str, Tensor] = {}

    def forward(
        self,
        a: Tensor,
        sum_a: Tensor,
        b: Tensor,
        sum_b: Tensor,
        *,
        caches: Caches | None = None,
        height: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As :meth:`mambadfuse.models.shallow_fusion.ExchangeBlock.forward`."""
        block = self.block
        if block.residual:
            sum_a, sum_b = a + sum_a, b + sum_b
            a, b = block.norm_a(sum_a), block.norm_b(sum_b)
        if torch.is_grad_enabled() and not a.requires_grad:
            a, b = a.detach().requires_grad_(), b.detach().requires_grad_()  # no gradient for earlier layers
        new_a, new_b = self._exchange(a, b)
        self.streams = dict(zip(PLACES, (a, b, new_a, new_b), strict=True))
        a = block.mamba_a(new_a, caches=caches, height=height)
        b = block.mamba_b(new_b, caches=caches, height=height)
        return a, sum_a, b, sum_b

    def _exchange(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Pads empty channels in front: the exchange starts at the first channel, and so arrives at ``offset``."""
        empty = -self.offset % self.period if self.period else 0
        new_a, new_b = exchange_channels(F.pad(a, (empty, 0)), F.pad(b, (empty, 0)), self.period)
        return new_a[..., empty:], new_b[..., empty:]


def with_exchange(model: MambaDFuse, period: int, offset: int = 0) -> MambaDFuse:
    """A copy of the network that exchanges other channels in all of its exchange blocks, with the same weights.

    Args:
        model: the network, which is not changed.
        period: one of every ``period`` channels is exchanged; 0 exchanges none.
        offset: the first exchanged channel, 0 ≤ offset < max(period, 1).

    Raises:
        ValueError: period or offset is out of range.
    """
    if not (period >= 0 and 0 <= offset < max(period, 1)):
        raise ValueError(f"expected period >= 0 and 0 <= offset < period, found {period} and {offset}")
    twin = copy.deepcopy(model).requires_grad_(False)
    for k, block in enumerate(cast(Iterable[ExchangeBlock], twin.shallow.exchange)):
        twin.shallow.exchange[k] = RecordingExchange(block, period, offset)
    return twin


def cam(features: Tensor, gradient: Tensor) -> Tensor:
    """The signed map M of Grad-CAM (Selvaraju et al. 2017, equations 1 and 2), (C, H, W) twice -> (H, W).

        M = Σ_c α_c X_c,   α_c = mean over the image of ∂ s / ∂ X_c

    Grad-CAM itself is max(M, 0), the evidence for s. Here s is a brightness, and darkening it is an effect too.

    Args:
        features: X.
        gradient: ∂ s / ∂ X.
    """
    return (gradient.mean(dim=(1, 2), keepdim=True) * features).sum(0)


@dataclass(frozen=True)
class ExchangeMaps:
    """What one exchange did to one pair; the dictionaries have the keys of ``PLACES``.

    Attributes:
        swapped: which channels were exchanged, (C,).
        features: the streams, (C, H, W) each.
        heat: :func:`cam` of the mean brightness of the fused image, (H, W) each.
        fused: the fused image, (H, W), clipped to [0, 1].
    """

    swapped: NDArray[np.bool_]
    features: dict[str, Map]
    heat: dict[str, Map]
    fused: Map


def exchange_maps(
    model: MambaDFuse, a: Tensor, b: Tensor, period: int, offset: int = 0, block: int = 0
) -> ExchangeMaps:
    """Fuses a pair with other channels exchanged, and records one exchange block.

    Args:
        model: the network.
        a: first image, (1, 1, H, W), in [0, 1].
        b: second image, (1, 1, H, W), in [0, 1].
        period: as in :func:`with_exchange`.
        offset: as in :func:`with_exchange`.
        block: index of the exchange block, from 0.

    Raises:
        ValueError: period or offset is out of range, or there is no such block.
    """
    twin = with_exchange(model, period, offset)
    like = next(twin.parameters())
    blocks = cast(list[RecordingExchange], list(twin.shallow.exchange))
    if not 0 <= block < len(blocks):
        raise ValueError(f"the network has {len(blocks)} exchange blocks, found block {block}")
    with torch.enable_grad():
        fused = twin(a.to(like), b.to(like))
    streams = blocks[block].streams
    gradients = dict(zip(streams, torch.autograd.grad(fused.mean(), list(streams.values())), strict=True))
    height = a.shape[2]
    features = {name: to_map(x.detach(), height)[0] for name, x in streams.items()}
    heat = {name: cam(x, to_map(gradients[name], height)[0]) for name, x in features.items()}
    channels = np.arange(features["a before"].shape[0])
    swapped = (channels - offset) % period == 0 if period else np.zeros(len(channels), bool)
    return ExchangeMaps(
        swapped,
        {name: x.cpu().numpy() for name, x in features.items()},
        {name: x.cpu().numpy() for name, x in heat.items()},
        postprocess(fused.detach(), model.contrast)[0, 0].cpu().numpy(),
    )


def exchange_pictures(maps: ExchangeMaps, channel: int) -> dict[str, Picture]:
    """One channel of both streams before and after the exchange, then their Grad-CAM maps; by title, for display.

    The four images of a row share one scale. In the Grad-CAM maps mid-grey is 0, bright brightens the fused image
    and dark darkens it.
    """
    one = {place: stream[channel] for place, stream in maps.features.items()}
    low, high = common_range(one.values())
    reach = max(abs(end) for end in common_range(maps.heat.values()))
    shown = {f"channel {channel}, {place}": coloured(x, low, high) for place, x in one.items()}
    return shown | {f"Grad-CAM, {place}": coloured(x, -reach, reach) for place, x in maps.heat.items()}


def changed_pictures(fused: Map, trained: Map) -> dict[str, Picture]:
    """The fused image, the one of the exchange as trained, and their difference; (H, W) in [0, 1] each, by title.

    In the difference mid-grey is 0, bright where the image has become brighter and dark where it has become darker.
    """
    difference = 255 * (fused - trained)
    reach = max(1.0, float(np.abs(difference).max()))
    return {
        "fused": coloured(fused, 0, 1, "gray"),
        "fused, exchange as trained": coloured(trained, 0, 1, "gray"),
        f"difference, at most {reach:.0f} of 255 levels": coloured(difference, -reach, reach),
    }


def channel_strip(swapped: NDArray[np.bool_], channel: int, width: int = 840, height: int = 18) -> Picture:
    """The C channels side by side, bright if exchanged, the selected one marked in orange; (height, width, 3)."""
    columns = np.arange(width) * len(swapped) // width  # the channel of each column of pixels
    strip = np.repeat(coloured(swapped[columns][None], 0, 1), height, axis=0)
    own = columns == channel
    strip[:4, own] = strip[-4:, own] = ORANGE
    return strip
