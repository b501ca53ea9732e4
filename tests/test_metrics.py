"""Metrics: the values of the literature's evaluator, answers by hand, and invariants."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mambadfuse import metrics
from mambadfuse.metrics import ALL, CONVENTIONS, EIGHT, OPTIONAL, evaluate

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "metrics.json").read_text())["triples"]
PICTURES = np.load(GOLDEN / "metrics_synth.npz")
SEEDS = st.integers(0, 2**31)


def noise(seed, height=48, width=44, count=3):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width), dtype=np.uint8)


def flat(level, height=48, width=44):
    return np.full((height, width), level, np.uint8)


def step(height=48, width=44):
    """Black on the left, white on the right."""
    return np.repeat(np.where(np.arange(width) < width // 2, 0, 255)[None].astype(np.uint8), height, axis=0)


# ------------------------------------------------------------------------------------- published values


@pytest.mark.parametrize("name", EXPECTED)
def test_equals_the_evaluator_of_the_literature(name):
    fused, a, b = (PICTURES[f"{name}_{letter}"] for letter in "FAB")
    expected = EXPECTED[name]["values"]
    scores = evaluate(fused, a, b, convention="literature")
    for metric, score in scores.items():
        key = {"VIF": "VIFF", "SSIM": "SSIM_dr2"}.get(metric, metric)
        assert score == pytest.approx(expected["float64"][key], rel=1e-10), metric
        as_run = 3e-5 if metric == "SSIM" else 1e-6  # the evaluator itself runs in float32
        assert score == pytest.approx(expected["float32"][key], rel=as_run), metric


@pytest.mark.parametrize("name", EXPECTED)
def test_strict_changes_ssim_mi_and_psnr_only_as_documented(name):
    fused, a, b = (PICTURES[f"{name}_{letter}"] for letter in "FAB")
    expected = EXPECTED[name]["values"]["float64"]
    literature, strict = (evaluate(fused, a, b, convention=convention) for convention in CONVENTIONS)
    assert strict["SSIM"] == pytest.approx(expected["SSIM_dr255"], rel=1e-10)
    assert strict["MI"] == pytest.approx(expected["MI"] / math.log(2), rel=1e-10)
    assert strict["PSNR"] == pytest.approx(10 * math.log10(255**2 / expected["MSE"]), rel=1e-10)
    for metric in set(ALL) - {"SSIM", "MI", "PSNR", "Qabf"}:
        assert strict[metric] == literature[metric]


# --------------------------------------------------------------------------------------- answers by hand


def test_entropy_of_equally_frequent_levels_is_their_logarithm():
    assert metrics.entropy(np.array([[0, 50], [100, 200]], np.uint8)) == pytest.approx(2)
    assert metrics.entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == pytest.approx(8)
    assert metrics.entropy(flat(7)) == 0


def test_standard_deviation_of_black_and_white_is_half_the_range():
    assert metrics.standard_deviation(step()) == pytest.approx(127.5)


def test_differences_of_a_ramp_are_its_slope():
    ramp = np.tile(np.arange(0, 60, 6, dtype=np.uint8), (5, 1))
    assert metrics.spatial_frequency(ramp) == pytest.approx(6)
    assert metrics.average_gradient(ramp) == pytest.approx(6 / math.sqrt(2))


def test_extremes_of_the_differences():
    checkerboard = (np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)
    assert metrics.spatial_frequency(checkerboard) == pytest.approx(255 * math.sqrt(2))
    inner = metrics.average_gradient(np.pad(checkerboard, 1, mode="symmetric"))
    assert inner < metrics.spatial_frequency(checkerboard) / 2


def test_mutual_information_of_independent_and_equal_pictures():
    rows, columns = (np.indices((8, 8)) % 2 * 255).astype(np.uint8)
    assert metrics.mutual_information(rows, columns) == pytest.approx(0, abs=1e-12)
    assert metrics.mutual_information(rows, rows) == pytest.approx(1)
    assert evaluate(rows, rows, columns, metrics=["MI"])["MI"] == pytest.approx(math.log(2))


def test_errors_are_averaged_over_the_sources_before_the_logarithm():
    scores = {
        c: evaluate(flat(100), flat(90), flat(80), convention=c, metrics=["PSNR", "MSE"]) for c in CONVENTIONS
    }
    assert scores["strict"] == pytest.approx({"PSNR": 10 * math.log10(255**2 / 250), "MSE": 250.0})
    assert scores["literature"]["PSNR"] == pytest.approx(10 * math.log10(100**2 / 250))


def test_ssim_of_flat_pictures_compares_their_brightness_alone():
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 50 + c1) / (100**2 + 50**2 + c1)
    assert metrics.structural_similarity(flat(100), flat(50)) == pytest.approx(expected, rel=1e-12)


def test_edges_kept_whole_lost_and_inverted():
    best = 0.9994 / (1 + math.exp(-7.5)) * 0.9879 / (1 + math.exp(-4.4))
    edge = step()
    assert metrics.edge_transfer(edge, edge, edge) == pytest.approx(best, rel=1e-12)
    assert metrics.edge_transfer(255 - edge, edge, edge) == pytest.approx(best, rel=1e-12)
    assert metrics.edge_transfer(flat(9), edge, edge) == pytest.approx(0, abs=1e-9)
    assert metrics.edge_transfer(edge, edge, flat(9)) == pytest.approx(best, rel=1e-12)


def test_published_edges_appear_at_the_border_of_a_flat_picture():
    assert metrics.edge_transfer(flat(9), flat(9), flat(9)) == 0
    assert metrics.edge_transfer(flat(9), flat(9), flat(9), as_published=True) > 0.9


def test_published_angles_of_nearly_upright_lines_are_opposite():
    """A line that leans a little to the left and one that leans a little to the right."""
    y, x = np.indices((20, 20))
    left, right = (np.uint8(128 + 10 * (y - 10) + lean * (x - 10)) for lean in (1, -1))
    strict = metrics.edge_transfer(left, right, right)
    published = metrics.edge_transfer(left, right, right, as_published=True)
    assert strict > 0.7
    assert published < 0.5 * strict


def test_vif_of_itself_of_something_flat_and_of_more_contrast():
    picture = noise(0, count=1)[0] // 3 + 80
    assert metrics.visual_information_fidelity(picture, picture) == pytest.approx(1)
    assert metrics.visual_information_fidelity(picture, flat(90)) == 0
    assert metrics.visual_information_fidelity(picture, (picture - 80) * 3) > 1


@pytest.mark.parametrize("level", [0, 1, 77, 254, 255])
def test_nothing_can_be_lost_from_a_flat_reference(level):
    assert metrics.visual_information_fidelity(flat(level), noise(1)[0]) == 1


# ------------------------------------------------------------------------- how each score can be gamed


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_each_weakness_that_the_docstrings_name_is_real(seed):
    other, a, b = noise(seed)
    a, b = a // 4 * 2, b // 4 * 2  # even and below 128: their mean and their sum are exact
    mean, total = (a + b) // 2, a + b
    only = {name: evaluate(mean, a, b, metrics=[name])[name] for name in ("MSE", "CC")}
    assert only["MSE"] <= evaluate(other, a, b, metrics=["MSE"])["MSE"]
    assert only["CC"] > evaluate(a, a, b, metrics=["CC"])["CC"]
    assert metrics.sum_of_correlations_of_differences(total, a, b) == pytest.approx(2)
    assert metrics.mutual_information(a, a) == pytest.approx(metrics.entropy(a))
    shuffled = np.random.default_rng(seed).permutation(a.ravel()).reshape(a.shape)
    assert metrics.entropy(shuffled) == metrics.entropy(a)
    assert metrics.spatial_frequency(other) > metrics.spatial_frequency(flat(100))


# ------------------------------------------------------------------------------------------ invariants


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_bounds_and_symmetries(seed):
    f, a, b = noise(seed)
    assert 0 <= metrics.entropy(f) <= 8
    assert metrics.mutual_information(a, f) == pytest.approx(metrics.mutual_information(f, a), rel=1e-12)
    assert 0 <= metrics.mutual_information(a, f) <= min(metrics.entropy(a), metrics.entropy(f))
    assert metrics.structural_similarity(f, f) == pytest.approx(1, rel=1e-12)
    assert metrics.structural_similarity(a, f) == pytest.approx(
        metrics.structural_similarity(f, a), rel=1e-12
    )
    assert -1 <= metrics.correlation(a, b) <= 1
    assert metrics.correlation(a, 255 - a) == pytest.approx(-1)
    assert 0 <= metrics.edge_transfer(f, a, b) <= 0.975
    for convention in CONVENTIONS:
        assert evaluate(f, a, b, convention=convention) == pytest.approx(
            evaluate(f, b, a, convention=convention), rel=1e-9
        )


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.integers(0, 55))
def test_brightness_and_contrast_leave_differences_and_correlations_alone(seed, offset):
    f, a, b = noise(seed) // 4
    for measure in (
        metrics.standard_deviation,
        metrics.spatial_frequency,
        metrics.average_gradient,
        metrics.entropy,
    ):
        assert measure(f + offset) == pytest.approx(measure(f), rel=1e-9)
    assert metrics.correlation(3 * a + offset, b) == pytest.approx(metrics.correlation(a, b), abs=1e-9)
    scaled = metrics.sum_of_correlations_of_differences(3 * f, 3 * a, 3 * b)
    assert scaled == pytest.approx(metrics.sum_of_correlations_of_differences(f, a, b), abs=1e-9)


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_turning_all_pictures_changes_no_strict_score(seed):
    f, a, b = noise(seed)
    assume(not has_flat_pixel(f))
    turned = evaluate(f.T, a.T, b.T, convention="strict")
    assert turned == pytest.approx(evaluate(f, a, b, convention="strict"), rel=1e-9)


def has_flat_pixel(x):
    """Whether the Sobel gradient is 0 at an inner pixel."""
    x = x.astype(int)
    down, along = x[:-2] + 2 * x[1:-1] + x[2:], x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
    return not ((down[:, 2:] - down[:, :-2]) | (along[2:] - along[:-2])).all()


def test_a_flat_pixel_of_the_fused_picture_has_an_angle_that_counts_next_to_nothing():
    f, a, b = noise(108480045)
    assert has_flat_pixel(f)
    turned, upright = (metrics.edge_transfer(*triple) for triple in ((f.T, a.T, b.T), (f, a, b)))
    assert turned != pytest.approx(upright, rel=1e-9)
    assert turned == pytest.approx(upright, rel=1e-5)


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_mutual_information_ignores_the_names_of_the_levels(seed):
    f, a, _ = noise(seed)
    names = np.random.default_rng(seed).permutation(256).astype(np.uint8)
    assert metrics.mutual_information(names[a], f) == pytest.approx(
        metrics.mutual_information(a, f), rel=1e-9
    )


# ---------------------------------------------------------------------------------------- evaluate, grey


def test_names_come_in_order_and_can_be_chosen():
    triple = noise(2)
    assert tuple(evaluate(*triple)) == ALL
    assert tuple(evaluate(*triple, metrics=EIGHT)) == EIGHT
    assert tuple(evaluate(*triple, metrics=["SSIM", "EN"])) == ("EN", "SSIM")
    assert all(type(score) is float for score in evaluate(*triple).values())


def test_floats_and_bytes_score_the_same():
    triple = noise(3)
    assert evaluate(*(np.float32(x / 255) for x in triple)) == evaluate(*triple)


def test_colour_is_judged_by_its_rounded_luma():
    colour = np.random.default_rng(4).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    expected = np.rint(colour @ [0.299, 0.587, 0.114])
    assert np.abs(metrics.grey(colour) - expected).max() <= 1  # a half may fall either way in float
    assert metrics.grey(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).tolist() == [
        [76, 150, 29]
    ]
    grey = noise(4)[0]
    np.testing.assert_array_equal(metrics.grey(np.stack([grey] * 3, axis=-1)), grey)


def test_identical_and_constant_pictures_have_defined_scores():
    same = evaluate(*[noise(5)[0]] * 3, convention="strict")
    assert same["PSNR"] == math.inf
    assert same["SCD"] == 0
    assert same["SSIM"] == pytest.approx(2)
    assert same["VIF"] == pytest.approx(2)
    for convention in CONVENTIONS:
        scores = evaluate(flat(0), flat(0), flat(0), convention=convention)
        assert scores == pytest.approx(dict.fromkeys(ALL, 0.0) | {"VIF": 2, "SSIM": 2, "PSNR": math.inf})


def test_wrong_input_is_named():
    f, a, b = noise(6)
    with pytest.raises(ValueError, match=r"b must have the size \(48, 44\) of fused, found \(44, 48\)"):
        evaluate(f, a, b.T)
    with pytest.raises(ValueError, match=r"a must have shape \(H, W\) or \(H, W, 3\), found \(48, 44, 4\)"):
        evaluate(f, np.zeros((48, 44, 4), np.uint8), b)
    with pytest.raises(TypeError, match="fused must hold uint8 or floating-point numbers, found int64"):
        evaluate(f.astype(np.int64), a, b)
    with pytest.raises(ValueError, match=r"fused must lie in \[0, 1\], found 0 to 255"):
        evaluate(f.astype(np.float32), a, b)
    with pytest.raises(ValueError, match="a must be finite, found 2 NaN"):
        evaluate(f, np.where(np.arange(44) < 2, np.nan, 0.5)[None], b)
    with pytest.raises(ValueError, match="b has 44 masked values: fill them first"):
        evaluate(f, a, np.ma.array(b, mask=np.arange(b.shape[0])[:, None] + 0 * b == 3))
    with pytest.raises(TypeError, match=r"a must hold uint8 or floating-point numbers, found \[\('r'"):
        evaluate(f, a.view([("r", "u1")]), b)
    with pytest.raises(TypeError, match=r"a cannot be read as an array: .*[Ss]parse"):
        evaluate(f, torch.eye(4).to_sparse(), b)
    with pytest.raises(ValueError, match=r"unknown metrics .*'FMI'"):
        evaluate(f, a, b, metrics=["EN", "FMI"])
    with pytest.raises(ValueError, match=r"convention must be one of .*'matlab'"):
        evaluate(f, a, b, convention="matlab")


@pytest.mark.parametrize(("metric", "side"), [("VIF", 41), ("SSIM", 7), ("Qabf", 3)])
def test_pictures_too_small_are_refused_by_name(metric, side):
    large, small = noise(7, side, side), noise(7, 70, side - 1)
    assert math.isfinite(evaluate(*large, convention="strict", metrics=[metric])[metric])
    with pytest.raises(ValueError, match=f"{metric} needs images of at least {side} x {side}"):
        evaluate(*small, convention="strict", metrics=[metric])


# ----------------------------------------------------------------------------------------------- fuzzing

MAKERS = {
    "noise": lambda rng, shape: rng.integers(0, 256, shape, dtype=np.uint8),
    "constant": lambda rng, shape: np.full(shape, rng.integers(256), np.uint8),
    "saturated": lambda rng, shape: rng.choice(np.array([0, 255], np.uint8), shape),
    "one pixel": lambda rng, shape: np.eye(*shape[:2], dtype=np.uint8) * 255,
    "float": lambda rng, shape: rng.random(shape, dtype=np.float32),
    "half": lambda rng, shape: rng.random(shape).astype(np.float16),
    "nan": lambda rng, shape: np.where(np.arange(np.prod(shape)).reshape(shape) == 0, np.nan, 0.5),
    "infinite": lambda rng, shape: np.full(shape, np.inf),
    "negative": lambda rng, shape: -rng.random(shape),
    "integers": lambda rng, shape: rng.integers(0, 256, shape),
    "boolean": lambda rng, shape: rng.random(shape) < 0.5,
    "empty": lambda rng, shape: np.zeros((0, shape[1]), np.uint8),
    "four channels": lambda rng, shape: np.zeros((*shape[:2], 4), np.uint8),
    "a row": lambda rng, shape: np.zeros(shape[1], np.uint8),
}
GOOD = ("noise", "constant", "saturated", "one pixel", "float", "half")


@settings(deadline=None, max_examples=200)
@given(
    seed=SEEDS,
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    kinds=st.tuples(*[st.sampled_from(GOOD * 4 + tuple(MAKERS))] * 3),
    colour=st.booleans(),
    convention=st.sampled_from(CONVENTIONS),
)
def test_any_input_gives_a_score_or_a_clear_error(seed, shape, kinds, colour, convention):
    rng = np.random.default_rng(seed)
    pictures = [MAKERS[kind](rng, (*shape, 3) if colour and kind == "noise" else shape) for kind in kinds]
    for metric in ALL + OPTIONAL:
        try:
            score = evaluate(*pictures, convention=convention, metrics=[metric])[metric]
        except (ValueError, TypeError) as error:
            message = str(error)
            assert "found" in message
            assert message.split()[0] in ("fused", "a", "b", metric)
            if set(kinds) <= set(GOOD):
                assert message.startswith(f"{metric} needs images")
        else:
            assert set(kinds) <= set(GOOD)
            assert math.isfinite(score) or (metric == "PSNR" and not math.isnan(score))
