"""What the reader builds in notebook 06 obeys the laws of the package's own channel exchange."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions

from mambadfuse.models import MambaDFuseConfig
from mambadfuse.models.shallow_fusion import ExchangeBlock, ShallowFusion, exchange_channels

BUILT = definitions("06")
LAWS = {law.__name__: law for law in BUILT["LAWS"]}
EXCHANGES = [exchange_channels, BUILT["exchange"]]


def package_block(dim, period=2):
    return ExchangeBlock(MambaDFuseConfig(dim=dim, exchange_period=period))


def package_phase(depth, dim):
    return ShallowFusion(MambaDFuseConfig(dim=dim, exchange_depth=depth))


BLOCKS = [package_block, BUILT["Block"]]
PHASES = [package_phase, BUILT["Shallow"]]
share_of_b, cam = BUILT["share_of_b"], BUILT["cam"]


def distinct(channels):
    """Two streams (2, 3, C) in which no number appears twice."""
    return torch.randperm(12 * channels).float().reshape(2, 2, 3, channels).unbind(0)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("exchange", EXCHANGES)
@given(channels=st.integers(1, 9), period=st.integers(0, 12))
@settings(deadline=None, max_examples=25)
def test_an_exchange_obeys_every_law(exchange, law, channels, period):
    assert law(exchange, *distinct(channels), period)


@pytest.mark.parametrize(
    ("wrong", "caught_by"),
    [("careless", {"own_inverse", "once_each", "same_sum"}), ("late", {"period_and_offset"})],
)
def test_the_laws_catch_wrong_exchanges(wrong, caught_by):
    assert {name for name, law in LAWS.items() if not law(BUILT[wrong], *distinct(8), 3)} == caught_by


@pytest.mark.parametrize("period", [0, 1, 2, 5])
def test_the_matrix_is_a_permutation_and_its_own_inverse(period):
    P = BUILT["permutation"](5, period)
    assert torch.equal(P @ P, torch.eye(10))
    assert (P.sum(0) == 1).all()
    assert (P.sum(1) == 1).all()


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("period", [0, 2])
def test_streams_learn_of_each_other_only_by_the_exchange(block, period):
    torch.manual_seed(0)
    one = block(8, period=period)
    a, b, zero = torch.randn(1, 6, 8), torch.randn(1, 6, 8), torch.zeros(1, 6, 8)
    share = share_of_b(lambda a, b: one(a, zero, b, zero)[0], a, b, t=5)
    assert share > 0.1 if period else share == 0


@pytest.mark.parametrize("block", BLOCKS)
def test_running_sums_are_never_exchanged(block):
    x_a, r_a, x_b, r_b = torch.randn(4, 2, 6, 8)
    _, sum_a, _, sum_b = block(8)(x_a, r_a, x_b, r_b)
    assert torch.equal(sum_a, x_a + r_a)
    assert torch.equal(sum_b, x_b + r_b)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5)])
def test_the_phase_ends_in_the_mean_of_its_streams(phase, height, width):
    torch.manual_seed(0)
    new_a, new_b, fused = phase(2, 8)(*torch.randn(4, 2, height * width, 8), height)
    assert fused.shape == (2, 8, height, width)
    torch.testing.assert_close(fused, (new_a + new_b) / 2)


def test_the_share_has_a_known_answer():
    a, b = torch.randn(2, 1, 3, 4).unbind(0)
    assert share_of_b(lambda a, b: a - 2 * b, a, b, t=1) == pytest.approx(0.8)
    assert share_of_b(lambda a, b: a * 2, a, b, t=1) == 0


def test_an_exchange_leaves_the_sum_of_both_maps():
    a, b, da, db = torch.randn(4, 6, 8)
    before = cam(a, da) + cam(b, db)
    (a, b), (da, db) = exchange_channels(a, b, 3), exchange_channels(da, db, 3)
    torch.testing.assert_close(cam(a, da) + cam(b, db), before)
