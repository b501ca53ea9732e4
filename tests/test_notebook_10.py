"""What notebook 10 builds by hand is what the package and the published test script compute, and means what it says."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions

from mambadfuse.evaluation.published import published
from mambadfuse.evaluation.table import PUBLISHED, Method, rank
from mambadfuse.fusion.tiling import TiledModel
from mambadfuse.metrics import EIGHT

BUILT = definitions("10")
GOLDEN = Path(__file__).parent / "golden"
few = settings(deadline=None, max_examples=20)


class Product(torch.nn.Module):
    """Depends on place within the tile and on the tile as a whole."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a * b + a.cumsum(-1) / a.numel() + b.mean()


@few
@given(
    sides=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.integers(2, 20),
    part=st.integers(0, 10),
)
def test_tiles_by_hand_are_those_of_the_package(sides, size, part):
    overlap = min(part, size // 2)
    a, b = torch.rand(2, 1, 1, *sides, generator=torch.Generator().manual_seed(size), dtype=torch.float64)
    expected = TiledModel(Product(), size, overlap)(a, b)
    torch.testing.assert_close(BUILT["fuse_in_tiles"](Product(), a, b, size, overlap), expected)


@few
@given(length=st.integers(1, 3000), size=st.integers(2, 600), part=st.integers(0, 300))
def test_tiles_cover_the_axis_and_end_with_it(length, size, part):
    spans = BUILT["spans"](length, size, min(part, size // 2))
    assert set().union(*(range(span.start, span.stop) for span in spans)) == set(range(length))
    assert spans[-1].stop == length


@pytest.mark.parametrize("case", json.loads((GOLDEN / "pipeline.json").read_text()))
def test_padding_is_that_of_the_published_test_script(case):
    pictures = np.load(GOLDEN / "pipeline.npz")
    for side in "AB":
        expected = pictures[f"{case}_pad{side}"]
        np.testing.assert_allclose(BUILT["padded"](pictures[f"{case}_{side}"] / 255), expected, atol=1e-6)


@few
@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=6))
def test_mean_ranks_are_those_of_the_package(rows):
    means = {
        str(k): dict(zip(("EN", "SD", "SF"), map(float, row), strict=True)) for k, row in enumerate(rows)
    }
    methods = [Method(name, PUBLISHED, row, {}, {}) for name, row in means.items()]
    theirs = rank(methods, ("EN", "SD", "SF"), (), "literature").mean_ranks
    ours = BUILT["mean_ranks"](means, ("EN", "SD", "SF"))
    assert ours == pytest.approx({name: theirs[f"{name} (published)"] for name in means})


def test_swaps_are_seen_and_only_where_there_are_any():
    scores = {"x": (3, 1), "y": (2, 4), "z": (1, 3), "w": (0, 2)}
    means = {
        name: dict.fromkeys(EIGHT[:4], a) | dict.fromkeys(EIGHT[4:], b) for name, (a, b) in scores.items()
    }
    assert BUILT["swaps"](means, "w") == []
    rows = {row.method: row.means for row in published("TNO-25").rows}
    for gone in rows:
        before = BUILT["mean_ranks"](rows)
        after = BUILT["mean_ranks"]({name: row for name, row in rows.items() if name != gone})
        for x, y in BUILT["swaps"](rows, gone):
            assert before[x] < before[y]
            assert after[x] > after[y]


@few
@given(st.integers(0, 2**31))
def test_harms_are_zero_for_a_source_that_sees_all_and_split_the_slopes(seed):
    rng = np.random.default_rng(seed)
    a, f = rng.integers(0, 256, (2, 20, 20)).astype(np.uint8)
    flat = np.full_like(a, 100)
    assert not any(harm.any() for harm in BUILT["harms"](a, flat, a).values())
    assert not BUILT["harms"](a, flat, np.maximum(a, flat))["out of range"].any()
    harms = BUILT["harms"](a, a, f)
    assert not (harms["lost"] * harms["invented"]).any()
    np.testing.assert_allclose(harms["out of range"], np.abs(f.astype(float) - a))


def test_the_paired_error_forgets_what_the_pictures_have_in_common():
    x = np.array([0.2, 0.4, 0.6, 0.8])
    assert BUILT["se_paired"](x, x - 0.1) == pytest.approx(0)
    flipped = [BUILT["se_paired"](x, x + np.array(signs)) for signs in product((-1, 1), repeat=4)]
    assert max(flipped) == pytest.approx(np.std([1, 1, -1, -1], ddof=1) / 2)
    independent = np.array([0.5, 0.3, 0.3, 0.5])  # uncorrelated with x
    assert BUILT["se_paired"](x, independent) == pytest.approx(BUILT["se_unpaired"](x, independent))
