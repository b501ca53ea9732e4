"""The operation counts, by hand for one block and against PyTorch's own counter."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mambadfuse import MambaDFuse, MambaDFuseConfig
from mambadfuse.models.flops import SCAN, forward_flops, m3_flops, mamba_flops
from mambadfuse.ops import use_backend

PUBLISHED = MambaDFuseConfig.published()


def test_one_mamba_unit_by_hand():
    # C = 60, E = 120, N = 16, R = 4, W = 4
    projections = 2 * 60 * 240 + 2 * 120 * 60
    parameters = 2 * 120 * 36 + 2 * 4 * 120
    assert mamba_flops(PUBLISHED) == projections + 2 * 120 * 4 + parameters + 9 * 120 * 16 == 71_040


def test_one_m3_block_by_hand():
    path = 71_040 - 2 * 120 * 60
    assert m3_flops(PUBLISHED) == 3 * path + 2 * 120 * 60 + 2 * 9 * 60
    shared = replace(PUBLISHED, gate="shared", deep_conv=False)
    assert m3_flops(PUBLISHED) - m3_flops(shared) == 2 * 2 * 60 * 120 + 2 * 9 * 60


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["published", "figure", "lite"])
@pytest.mark.parametrize(("mixer", "passes"), [("scan", 1), ("bidirectional", 2), ("convolution", 0)])
def test_matrix_products_and_image_convolutions_agree_with_torch(preset, mixer, passes):
    config, height, width = replace(getattr(MambaDFuseConfig, preset)(), mixer=mixer), 6, 7
    model = MambaDFuse(config)
    with FlopCounterMode(display=False) as counter, use_backend("torch"):  # fused paths show it nothing
        model(*torch.rand(2, 1, 1, height, width))
    scans = 2 * config.extraction_depth + 2 * config.exchange_depth + 3 * config.deep_depth
    scans += config.reconstruction_depth
    inner = config.expand * config.dim
    hand_written = passes * scans * height * width * inner * (SCAN * config.state + 2 * config.conv_width)
    assert forward_flops(config, height, width)["total"] - hand_written == counter.get_total_flops()


def test_cost_is_linear_in_pixels():
    small, large = (forward_flops(PUBLISHED, n, n)["total"] for n in (64, 256))
    assert large == 16 * small
