"""What notebook 02 builds by hand is what the package computes, on any image, and has its invariants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions

from mambadfuse import metrics

BUILT = definitions("02")
SEEDS = st.integers(0, 2**31)
SIDES = st.tuples(st.integers(41, 60), st.integers(41, 60))  # VIF needs 41 pixels
anything = settings(deadline=None, max_examples=10)


def pictures(seed: int, sides: tuple[int, int], levels: int = 256) -> np.ndarray:
    """A fused image and two sources, of noise; with few levels also of flat places."""
    steps = np.random.default_rng(seed).integers(0, levels, (3, *sides))
    return (steps * (255 // (levels - 1))).astype(np.uint8)


@anything
@given(seed=SEEDS, sides=SIDES, levels=st.sampled_from([2, 5, 256]))
def test_eight_scores_are_those_of_the_strict_convention(seed, sides, levels):
    f, a, b = pictures(seed, sides, levels)
    expected = metrics.evaluate(f, a, b, convention="strict", metrics=metrics.EIGHT)
    built = {name: BUILT[name](f) for name in ("EN", "SD", "SF")}
    built |= {name: BUILT[name](a, f) + BUILT[name](b, f) for name in ("MI", "VIF", "SSIM")}
    built |= {name: BUILT[name](f, a, b) for name in ("SCD", "Qabf")}
    for name, value in expected.items():
        assert built[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


@anything
@given(seed=SEEDS, sides=SIDES)
def test_fidelity_to_itself_is_complete(seed, sides):
    x = pictures(seed, sides)[0]
    assert BUILT["MI"](x, x) == pytest.approx(BUILT["EN"](x))
    assert BUILT["SSIM"](x, x) == pytest.approx(1)
    assert BUILT["VIF"](x, x) == pytest.approx(1)
    assert BUILT["Qabf"](x, x, x) == pytest.approx(0.9748, abs=1e-4)


@anything
@given(seed=SEEDS, share=st.floats(0.1, 0.9))
def test_the_share_of_a_blend_drops_out_of_scd(seed, share):
    _, a, b = pictures(seed, (41, 41)).astype(np.float64)
    blend = (1 - share) * a + share * b
    assert BUILT["SCD"](blend, a, b) == pytest.approx(BUILT["SCD"]((a + b) / 2, a, b))
