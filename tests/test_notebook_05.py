"""What the reader builds in notebook 05 obeys the laws of the package's own extraction."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions

from mambadfuse.models import MambaDFuseConfig, mamba
from mambadfuse.models.extraction import LowLevelExtraction

BUILT = definitions("05")


def package_low(dim):
    return LowLevelExtraction(MambaDFuseConfig(dim=dim))


def package_stack(depth, dim):
    return mamba.MambaStack(MambaDFuseConfig(dim=dim), depth)


LOW = [package_low, BUILT["LowLevel"]]
STACKS = [package_stack, BUILT["HighLevel"]]
RASTERS = [(mamba.to_tokens, mamba.to_map), (BUILT["raster"], BUILT["unraster"])]
receptive_field, as_map, both_ways, shares = (
    BUILT[name] for name in ("receptive_field", "as_map", "both_ways", "shares")
)
sizes = st.integers(1, 6)
quickly = settings(deadline=None, max_examples=25)


@pytest.mark.parametrize("raster", RASTERS, ids=["package", "notebook"])
@given(height=sizes, width=sizes, channels=sizes)
@quickly
def test_a_raster_reads_row_by_row_and_is_undone(raster, height, width, channels):
    read, lay_out = raster
    x = torch.arange(channels * height * width).reshape(1, channels, height, width)
    tokens = read(x)
    assert all(
        torch.equal(tokens[0, width * i + j], x[0, :, i, j]) for i in range(height) for j in range(width)
    )
    assert torch.equal(lay_out(tokens, height), x)


@pytest.mark.parametrize("seed", range(3))
def test_both_levels_are_the_packages_with_their_gradients(seed):
    torch.manual_seed(seed)
    BUILT["check"](BUILT["LowLevel"](8), LowLevelExtraction(MambaDFuseConfig(dim=8)), torch.rand(2, 1, 9, 7))
    BUILT["check"](
        BUILT["HighLevel"](2, 8), mamba.MambaStack(MambaDFuseConfig(dim=8), 2), torch.rand(2, 12, 8)
    )


@pytest.mark.parametrize("low_level", LOW)
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 4)])
def test_the_low_level_keeps_the_size(low_level, size):
    assert low_level(8)(torch.rand(2, 1, *size)).shape == (2, 8, *size)


@pytest.mark.parametrize("low_level", LOW)
def test_the_low_level_sees_five_by_five(low_level):
    torch.manual_seed(0)
    field = receptive_field(low_level(8), torch.rand(1, 1, 11, 11), (5, 5))
    expected = torch.zeros(11, 11, dtype=torch.bool)
    expected[3:8, 3:8] = True
    assert torch.equal(field > 0, expected)


@pytest.mark.slow
@pytest.mark.parametrize("stack", STACKS)
@given(row=st.integers(0, 3), column=st.integers(0, 4))
@settings(quickly, max_examples=8)
def test_a_scan_sees_what_comes_before_and_only_that(stack, row, column):
    torch.manual_seed(0)
    blocks = stack(2, 8).double()
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64)
    field = receptive_field(as_map(lambda tokens: sum(blocks(tokens))), x, (row, column))
    assert torch.equal(field.flatten() > 0, torch.arange(20) <= 5 * row + column)


@pytest.mark.parametrize("stack", STACKS)
def test_two_directions_see_everything(stack):
    torch.manual_seed(0)
    blocks = stack(1, 8)
    seen = both_ways(as_map(lambda tokens: blocks(tokens)[0]))
    assert (receptive_field(seen, torch.randn(1, 8, 4, 5), (2, 1)) > 0).all()


@pytest.mark.parametrize("stack", STACKS)
def test_branch_and_running_sum_make_an_ordinary_residual_network(stack):
    torch.manual_seed(0)
    blocks = stack(3, 8)
    x = torch.randn(2, 6, 8)
    expected = x
    for block in blocks.blocks:
        expected = expected + block.mamba(block.norm(expected))
    torch.testing.assert_close(sum(blocks(x)), expected)


def test_attention_is_that_of_pytorch():
    torch.manual_seed(0)
    attention, x = BUILT["Attention"](8), torch.randn(2, 6, 8)
    expected = F.scaled_dot_product_attention(*attention.qkv(x).chunk(3, dim=-1))
    torch.testing.assert_close(attention(x), expected)


def test_the_shares_of_a_field_are_all_of_it():
    assert sum(shares(torch.rand(7, 9), (3, 4), 3).values()) == pytest.approx(1)


def test_the_check_tells_a_difference():
    broken = LowLevelExtraction(MambaDFuseConfig(dim=8))
    broken.register_forward_hook(lambda module, inputs, output: output * 1.01)
    with pytest.raises(AssertionError):
        BUILT["check"](BUILT["LowLevel"](8), broken, torch.rand(1, 1, 5, 5))
