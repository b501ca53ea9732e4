"""Fusing in tiles: exact for local functions, seamless for constant ones, bounded in what it asks of memory."""

import pytest
import torch
from torch import nn

from mambadfuse.fusion.tiling import TiledModel


class Mean(nn.Module):
    """A pixel-wise network that remembers the largest input it was given."""

    largest = 0

    def forward(self, a, b):
        self.largest = max(self.largest, a.shape[2] * a.shape[3])
        return (a + b) / 2


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (17, 16), (50, 33), (100, 7)])
@pytest.mark.parametrize("overlap", [0, 3, 8])
def test_a_pixelwise_network_gives_the_same_result(shape, overlap):
    network = Mean()
    a, b = torch.rand(2, 2, 1, *shape, dtype=torch.float64)
    out = TiledModel(network, 16, overlap)(a, b)
    torch.testing.assert_close(out, (a + b) / 2, rtol=0, atol=1e-12)
    assert network.largest <= 16 * 16


def test_tiles_that_disagree_are_blended_without_a_step():
    class TileNumber(nn.Module):
        calls = 0

        def forward(self, a, b):
            self.calls += 1
            return torch.full_like(a, float(self.calls))

    out = TiledModel(TileNumber(), 32, 16)(*torch.zeros(2, 1, 1, 1, 80))
    steps = out.diff(dim=3)
    assert steps.min() >= -1e-5
    assert steps.max() <= 2.01 / 17  # one tile ends where the next but one begins


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (16, 9), (16, -1)])
def test_impossible_tiles_are_refused(size, overlap):
    with pytest.raises(ValueError, match="must be"):
        TiledModel(Mean(), size, overlap)
