"""The fault meter: every fault made on purpose, its size known by hand, and what must not change it."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mambadfuse.evaluation import faults
from mambadfuse.evaluation.faults import FAULTS, FAULTS_OF_FUSING, measure, raster_bias, tile_seam
from mambadfuse.fusion.baselines import laplacian_pyramid, maximum, mean

SEEDS = st.integers(0, 2**31)
TURNS = {
    "mirrored": np.fliplr,
    "upside down": np.flipud,
    "turned": lambda x: x[::-1, ::-1],
    "transposed": np.transpose,
}


def flat(level, height=64, width=64):
    return np.full((height, width), level, np.uint8)


def square(level, ground, size=8, height=64, width=64):
    """A square in the middle of a flat ground."""
    x = flat(ground, height, width)
    rows, columns = (slice((side - size) // 2, (side + size) // 2) for side in (height, width))
    x[rows, columns] = level
    return x


def lamp(level, ground, radius=10, side=96):
    """A disc in the middle of a flat ground, and the distance of each pixel from its rim."""
    y, x = np.indices((side, side)) - side / 2
    distance = np.hypot(y, x) - radius
    return np.where(distance < 0, level, ground).astype(np.uint8), distance


def noise(seed, *shape, largest=255):
    return np.random.default_rng(seed).integers(0, largest + 1, shape, dtype=np.uint8)


def scene(seed, shape=(70, 60)):
    """A fused image and its sources, with all that faults need: flat, noisy and steep regions, targets, a lamp."""
    rng = np.random.default_rng(seed)
    height, width = shape
    x = np.arange(width)
    images = []
    for _ in range(3):
        image = rng.integers(40, 120) + 0.3 * x + rng.integers(0, 5, shape)
        for level in rng.integers(20, 230, 3):
            top, left, side = rng.integers(0, height), rng.integers(0, width), rng.integers(4, 16)
            image[top : top + side, left : left + side] = level
        images.append(image)
    images[0][: rng.integers(height)] += 15
    images[0][rng.random(shape) < 0.01] = 255
    return [np.rint(image).clip(0, 255).astype(np.uint8) for image in images]


def same(found, expected):
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def test_names_are_those_of_the_tables():
    assert tuple(measure(*scene(0))) == tuple(FAULTS)
    table = re.findall(
        r"^(\w[\w ]+?)  +(grey levels|% of pixels|ratio)  .*  (\S.*)$", faults.__doc__, flags=re.M
    )
    units = {"grey levels": "levels", "% of pixels": "%", "ratio": "ratio"}
    assert {name: units[unit] for name, unit, _ in table} == {
        name: fault.unit for name, fault in FAULTS.items()
    }
    for name, _, best in table:
        fault = FAULTS[name]
        assert best == (f"{fault.high:g}" if fault.low == fault.high else f"at most {fault.high:g}")


@pytest.mark.parametrize(
    ("name", "value", "severity"),
    [
        ("band", 0, 0), ("band", 30, 30), ("target", 1, 0), ("target", 0.4, 0.6), ("noise gain", 0.2, 0),
        ("noise gain", 1, 0), ("noise gain", 1.5, 0.5), ("halo", math.nan, math.nan),
    ],
)  # fmt: skip
def test_severity_is_the_distance_from_what_is_no_fault(name, value, severity):
    assert FAULTS[name].severity(value) == pytest.approx(severity, nan_ok=True)


# ------------------------------------------------------------------------------------------------ band


@pytest.mark.parametrize("turn", [np.asarray, np.transpose])
def test_a_step_in_a_flat_sky_is_a_band(turn):
    sky = flat(120)
    for level in (150, 90):
        f = sky.copy()
        f[40:] = level
        assert measure(turn(f), turn(sky), turn(flat(100)))["band"] == 30


@pytest.mark.parametrize(("rows", "band"), [(1, 32), (4, 32), (8, 32), (16, 16), (32, 8)])
def test_a_band_rises_within_eight_rows(rows, band):
    f = flat(100) + np.clip(np.arange(64) * 32 / rows - 10 * 32 / rows, 0, 32).astype(np.uint8)[:, None]
    assert measure(f, flat(100), flat(90))["band"] == band


def test_what_a_source_rises_by_is_no_band():
    ramp = (
        flat(60) + np.arange(64, dtype=np.uint8)[:, None]
    )  # 8 levels over 8 rows, and flat by its deviation of 2
    stripe = np.where(np.arange(64)[:, None] < 40, 0, 30).astype(np.uint8)
    assert measure(ramp, ramp, flat(90))["band"] == 0
    assert measure(ramp + stripe, ramp, flat(90))["band"] == 30
    assert measure(flat(100) + stripe, ramp, flat(90))["band"] == 22


def test_a_step_where_a_source_is_not_flat_is_no_band():
    a = flat(100)
    a[20:] = 160
    assert measure(a, a, flat(90))["band"] == 0
    assert measure(a, flat(100), flat(90))["band"] == 60


def test_a_step_of_half_the_row_counts_by_its_mean():
    f = flat(120)
    f[40:, :32] = 150
    assert measure(f, flat(120), flat(100))["band"] == 15


@pytest.mark.parametrize(
    ("shape", "band"),
    [((9, 32), 7), ((8, 32), math.nan), ((9, 31), math.nan), ((32, 9), 0), ((31, 31), math.nan)],
)
def test_a_band_needs_nine_rows_of_thirty_two_pixels(shape, band):
    f = flat(100, *shape)
    f[-1] = 107
    assert measure(f, flat(100, *shape), flat(90, *shape))["band"] == pytest.approx(band, nan_ok=True)


# ------------------------------------------------------------------- overshoot, excess and saturation


def test_a_pixel_outside_both_sources_is_overshoot_by_its_distance():
    f = flat(100)
    f[3, 5] = 120 + 20
    one = measure(f, flat(100), flat(120))
    assert (one["overshoot"], one["excess"]) == (100 / 64**2, 20)
    f[60, 2] = 100 - 40
    two = measure(f, flat(100), flat(120))
    assert (two["overshoot"], two["excess"]) == (200 / 64**2, 30)


@pytest.mark.parametrize(("outside", "share"), [(8, 0), (9, 100)])
@pytest.mark.parametrize("side", [1, -1])
def test_eight_levels_outside_are_no_overshoot_yet(outside, share, side):
    level = 120 + outside if side > 0 else 100 - outside
    found = measure(flat(level), flat(100), flat(120))
    assert (found["overshoot"], found["excess"]) == (share, outside if share else 0)


def test_black_or_white_where_no_source_is_so_is_saturation():
    f, a, b = flat(200, 4, 5), flat(254, 4, 5), flat(1, 4, 5)
    f[0, :3] = 255
    f[1, :2] = 0
    assert measure(f, a, b)["saturation"] == 25
    a[0, 0], b[1, 0] = 255, 0  # explained by one of the sources
    assert measure(f, a, b)["saturation"] == 15


# --------------------------------------------------------------------------------------------- target


@pytest.mark.parametrize("level", [200, 20])
@pytest.mark.parametrize(
    ("share", "kept"), [(1, 1), (0.5, 0.5), (0.25, 0.25), (0, 0), (-0.5, 0), (1.1, 1)]
)  # a target inverted is lost, and one exaggerated is no more than kept
def test_a_target_is_kept_by_the_share_of_its_contrast(level, share, kept):
    a = square(level, 100)
    f = square(round(100 + share * (level - 100)), 100)
    assert measure(f, a, flat(60))["target"] == pytest.approx(kept)


def test_one_of_two_equal_targets_is_half():
    a = np.hstack([square(200, 100, width=200)] * 2)
    f = a.copy()
    f[:, 200:] = 100
    assert measure(f, a, flat(60, 64, 400))["target"] == pytest.approx(0.5)


def test_the_stronger_of_two_targets_counts_more():
    a = np.hstack([square(220, 100, width=200), square(160, 100, width=200)])
    f = a.copy()
    f[:, 200:] = 100
    assert 2 / 3 < measure(f, a, flat(60, 64, 400))["target"] < 1


def test_a_target_differs_by_25_levels_from_its_surroundings():
    """In the middle of a square of 16 pixels, the difference of blurs is erf(8/2√2)² − erf(8/12√2)², 0.75 of it."""
    peak = math.erf(8 / (2 * math.sqrt(2))) ** 2 - math.erf(8 / (12 * math.sqrt(2))) ** 2
    for contrast, is_target in ((math.floor(25 / peak) - 1, False), (math.ceil(25 / peak) + 1, True)):
        a = square(100 + contrast, 100, size=16)
        assert math.isnan(measure(flat(9), a, flat(90))["target"]) != is_target


@pytest.mark.parametrize(("other", "is_target"), [(33, True), (34, False), (-33, True), (-34, False)])
def test_a_target_has_at_most_a_third_of_its_contrast_in_the_other_source(other, is_target):
    found = measure(flat(9), square(200, 100), square(100 + other, 100))
    assert math.isnan(found["target"]) != is_target


def test_what_stands_out_in_both_sources_or_in_none_is_no_target():
    assert math.isnan(measure(flat(9), square(200, 100), square(180, 90))["target"])
    assert math.isnan(measure(flat(9), square(110, 100), flat(90))["target"])
    assert not math.isnan(measure(flat(9), square(200, 100), square(115, 90))["target"])


# ------------------------------------------------------------------------------------------ noise gain


@pytest.mark.parametrize("gain", [0, 0.5, 1, 2, 3])
def test_noise_gain_is_a_ratio_of_deviations(gain):
    grain = 2 * (noise(0, 64, 64, largest=3).astype(int) - 1)
    a = (100 + grain).astype(np.uint8)
    f = (100 + gain * grain).astype(np.uint8)
    assert measure(f, a, flat(90))["noise gain"] == pytest.approx(gain)
    assert measure(f, flat(90), a)["noise gain"] == pytest.approx(gain)


def test_sources_without_noise_count_as_half_a_level_noisy():
    """On a checkerboard of ±1, the mean of 3 x 3 pixels is 1/9 of the one in their middle: 8/9 is noise."""
    checkerboard = 100 + 2 * (np.indices((64, 64)).sum(0) % 2) - 1.0
    inner = np.zeros((64, 64), bool)
    inner[1:-1, 1:-1] = True
    sources = np.full((64, 64), 100.0), np.full((64, 64), 90.0)
    assert faults.noise_gain(checkerboard, *sources, inner) == pytest.approx(8 / 9 / 0.5)


def test_texture_is_not_noise():
    coarse = np.kron(noise(0, 32, 32), np.ones((2, 2), np.uint8))
    assert math.isnan(measure(noise(1, 64, 64), coarse, coarse)["noise gain"])


@pytest.mark.parametrize(("grain", "is_flat"), [(2, True), (3, False)])
def test_a_deviation_of_four_levels_is_flat_and_one_of_more_is_not_however_the_image_lies(grain, is_flat):
    """A pattern repeated every seven pixels, so that every window holds the same values.

    Their mean square is 16 or 794/49. Where a window counts as flat, a speck in its middle is noise.
    """
    values = [6, -6, grain, -grain, 0, *[4, -4] * 22]
    for seed in range(4):
        pattern = np.random.default_rng(seed).permutation(values).reshape(7, 7)
        x = (100 + np.tile(pattern, (8, 8))).astype(np.uint8)[:50, :55]
        f = x.copy()
        f[24, 27] = 250
        for turn in (np.asarray, *TURNS.values()):
            assert (measure(turn(f), turn(x), turn(x))["noise gain"] > 1) == is_flat


# ------------------------------------------------------------------------------------------------ halo


def test_a_bar_beside_an_edge_is_a_halo_known_by_hand():
    """A bar of 20 levels, columns 22 to 27, left of an edge between columns 31 and 32.

    Judged are the flat columns 21 to 28 and, without any fault, 35 to 42. A column is compared with those 0, 3, 6, 9
    and 12 pixels beside it that are left of the edge, too, of which a disc of radius 12 holds so many rows:
    """
    rows = {0: 9, 3: 7, 6: 7, 9: 5, 12: 1}
    x = np.arange(64)
    a = flat(20) + np.where(x < 32, 0, 200).astype(np.uint8)
    bar = np.where((x >= 22) & (x <= 27), 20, 0)

    def difference(column):
        beside = {
            column + sign * step: n
            for step, n in rows.items()
            for sign in (1, -1)
            if column + sign * step < 32
        }
        return bar[column] - sum(n * bar[c] for c, n in beside.items()) / sum(beside.values())

    expected = math.sqrt(sum(difference(column) ** 2 for column in range(21, 29)) / 16)
    f = a + bar.astype(np.uint8)
    assert expected > 5
    assert measure(f, a, flat(90))["halo"] == pytest.approx(expected, rel=1e-6)
    assert measure(f.T, flat(90), a.T)["halo"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("depth", [-15, -30, 30])
def test_a_ring_round_a_lamp_is_a_halo_and_its_size_that_of_the_ring(depth):
    b, distance = lamp(220, 60)
    a = flat(90, *b.shape)
    ring = np.where((distance > 3) & (distance < 8), depth, 0)
    f = (maximum(a, b) + ring).astype(np.uint8)
    halo = measure(f, a, b)["halo"]
    assert abs(depth) / 4 < halo < abs(depth)
    assert halo == pytest.approx(
        abs(depth) * measure((maximum(a, b) + ring // depth).astype(np.uint8), a, b)["halo"]
    )
    for fuse in (mean, maximum):
        assert measure(fuse(a, b), a, b)["halo"] == pytest.approx(0, abs=1e-6)


def test_noise_of_the_sources_is_no_halo():
    a, _ = lamp(230, 60)
    a = (a + noise(1, *a.shape, largest=5)).astype(np.uint8)
    b = flat(90, *a.shape) + noise(2, *a.shape, largest=5)
    for f in (a, maximum(a, b), mean(a, b)):
        assert measure(f, a, b)["halo"] == pytest.approx(0, abs=0.5)
    ring = np.where((lamp(230, 60)[1] > 3) & (lamp(230, 60)[1] < 7), 25, 0)
    assert measure((maximum(a, b) - ring).astype(np.uint8), a, b)["halo"] > 8


def test_without_a_strong_edge_there_is_no_halo():
    weak, _ = lamp(119, 60)
    strong, _ = lamp(120, 60)
    a = flat(90, *weak.shape)
    assert math.isnan(measure(weak, weak, a)["halo"])
    assert measure(strong, strong, a)["halo"] == pytest.approx(0, abs=1e-6)


# --------------------------------------------------------------------------- ways of fusing, not images


def test_raster_bias_by_hand():
    """A fusion that makes each column one level brighter than the one before, on a black square of 4 x 4 pixels.

    Mirrored or turned, columns are counted from the right: |x − (3 − x)| is 3, 1, 1, 3. Transposed, rows are counted:
    |x − y| is 20/16 on average.
    """

    def count(a, b):
        return a + np.arange(a.shape[1], dtype=np.uint8)

    black = flat(0, 4, 4)
    assert raster_bias(count, black, black) == pytest.approx((2 + 2 + 20 / 16) / 3)
    assert raster_bias(count, black, black, count(black, black)) == raster_bias(count, black, black)
    assert raster_bias(count, black, black, black) == pytest.approx(
        1.5
    )  # what is at hand is not computed again


def test_what_treats_pixels_alike_has_no_raster_bias():
    a, b = noise(0, 2, 30, 41)
    assert raster_bias(mean, a, b) == raster_bias(maximum, a, b) == 0
    assert raster_bias(laplacian_pyramid, a, b) > 1  # drops every other pixel, counted from the top left


def test_tile_seam_is_a_mean_difference():
    whole = flat(7, 2, 2)
    assert tile_seam(whole, whole) == 0
    assert tile_seam(whole, np.array([[7, 9], [0, 7]], np.uint8)) == 9 / 4


def test_white_pixels_are_counted():
    assert faults.white_pixels(np.array([[255, 254], [0, 255]], np.uint8)) == 2


# -------------------------------------------------------------------------------------------- invariants


@settings(max_examples=15)
@given(SEEDS)
def test_the_order_of_the_sources_does_not_matter(seed):
    f, a, b = scene(seed)
    assert measure(f, a, b) == pytest.approx(measure(f, b, a), rel=0, abs=0, nan_ok=True)


@settings(max_examples=15)
@given(SEEDS, st.sampled_from(sorted(TURNS)))
def test_no_fault_of_an_image_depends_on_how_it_lies(seed, name):
    f, a, b = scene(seed)
    turn = TURNS[name]
    same(measure(turn(f), turn(a), turn(b)), measure(f, a, b))


@settings(max_examples=15)
@given(SEEDS)
def test_a_negative_has_the_same_faults(seed):
    f, a, b = scene(seed)
    same(measure(255 - f, 255 - a, 255 - b), measure(f, a, b))


@settings(max_examples=15)
@given(SEEDS, st.integers(0, 50))
def test_brightness_changes_nothing_but_saturation(seed, offset):
    images = [x // 2 + 20 for x in scene(seed)]
    same(measure(*[x + offset for x in images]), measure(*images))


@settings(max_examples=25)
@given(SEEDS, st.tuples(st.integers(1, 40), st.integers(1, 40)), st.sampled_from([mean, maximum]))
def test_pixelwise_mean_and_maximum_stay_within_their_sources(seed, shape, fuse):
    a, b = noise(seed, 2, *shape)
    found = measure(fuse(a, b), a, b)
    assert (found["overshoot"], found["excess"], found["saturation"]) == (0, 0, 0)
    assert raster_bias(fuse, a, b) == 0


@settings(max_examples=15)
@given(SEEDS)
def test_scenes_have_every_fault(seed):
    """Otherwise the invariants above would hold for nothing."""
    found = measure(*scene(seed))
    assert all(math.isfinite(value) for name, value in found.items() if name != "halo")
    assert found["overshoot"] > 0
    assert found["saturation"] > 0


# ------------------------------------------------------------------------- small, constant, float, wrong


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (8, 200), (1, 50), (31, 31), (12, 40), (200, 8)])
def test_small_images_are_measured_as_far_as_they_can_be(shape):
    f, a, b = noise(0, 3, *shape)
    found = measure(f, a, b)
    assert found["overshoot"] > 0
    assert math.isnan(found["halo"])
    constant = measure(flat(50, *shape), flat(30, *shape), flat(20, *shape))
    has_rows = max(shape) >= 32 and min(shape) >= 9
    expected = dict.fromkeys(FAULTS, 0.0) | {
        "overshoot": 100,
        "excess": 20,
        "target": math.nan,
        "halo": math.nan,
    }
    assert constant == pytest.approx(expected | {"band": 0 if has_rows else math.nan}, nan_ok=True)


def test_a_halo_is_found_in_a_narrow_image():
    """Narrower than the pixels it is compared with: 8 rows, of which none differs from another."""
    x = np.arange(64)
    tall = flat(20) + np.where(x < 32, 0, 200).astype(np.uint8)
    bar = np.where((x >= 22) & (x <= 27), 20, 0).astype(np.uint8)
    expected = measure(tall + bar, tall, tall)["halo"]
    assert measure((tall + bar)[:8], tall[:8], tall[:8])["halo"] == pytest.approx(expected)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_images_have_no_fault(level):
    same(measure(*[flat(level)] * 3), dict.fromkeys(FAULTS, 0.0) | {"target": math.nan, "halo": math.nan})


@settings(max_examples=10)
@given(SEEDS)
def test_floats_and_bytes_have_the_same_faults(seed):
    images = scene(seed)
    same(measure(*[np.float32(x / 255) for x in images]), measure(*images))


def test_colour_is_judged_by_its_luma():
    f, a, b = scene(1)
    same(measure(f, a, np.stack([b] * 3, axis=-1)), measure(f, a, b))
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255  # a luma of 76
    assert measure(red, flat(60), flat(66))["excess"] == 10


def test_every_number_is_a_float():
    assert {type(value) for value in measure(*scene(0)).values()} == {float}


def test_wrong_input_is_named():
    f, a, b = noise(6, 3, 48, 44)
    with pytest.raises(ValueError, match=r"b must have the size \(48, 44\) of fused, found \(44, 48\)"):
        measure(f, a, b.T)
    with pytest.raises(ValueError, match=r"a must have shape \(H, W\) or \(H, W, 3\), found \(48, 44, 4\)"):
        measure(f, np.zeros((48, 44, 4), np.uint8), b)
    with pytest.raises(ValueError, match=r"a must have shape .* found \(0, 44\)"):
        measure(f, a[:0], b)
    with pytest.raises(TypeError, match="fused must hold uint8 or floating-point numbers, found int64"):
        measure(f.astype(np.int64), a, b)
    with pytest.raises(ValueError, match=r"fused must lie in \[0, 1\], found 0 to 255"):
        measure(f.astype(np.float32), a, b)
    with pytest.raises(ValueError, match="a must be finite, found 2 NaN"):
        measure(f, np.where(np.arange(44) < 2, np.nan, 0.5)[None], b)
    with pytest.raises(TypeError, match="fused must be pixels, found a file name"):
        measure("fused.png", a, b)


MAKERS = {
    "noise": lambda rng, shape: rng.integers(0, 256, shape, dtype=np.uint8),
    "grain": lambda rng, shape: rng.integers(100, 106, shape, dtype=np.uint8),
    "constant": lambda rng, shape: np.full(shape, rng.integers(256), np.uint8),
    "saturated": lambda rng, shape: rng.choice(np.array([0, 255], np.uint8), shape),
    "one pixel": lambda rng, shape: np.eye(*shape, dtype=np.uint8) * 255,
    "step": lambda rng, shape: (np.indices(shape)[1] > shape[1] // 2).astype(np.uint8) * 200,
    "half": lambda rng, shape: rng.random(shape).astype(np.float16),
}


@settings(max_examples=100)
@given(
    seed=SEEDS,
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    kinds=st.tuples(*[st.sampled_from(sorted(MAKERS))] * 3),
)
def test_any_images_have_faults_within_bounds(seed, shape, kinds):
    rng = np.random.default_rng(seed)
    found = measure(*[MAKERS[kind](rng, shape) for kind in kinds])
    for name, highest in {
        "band": 255,
        "excess": 255,
        "overshoot": 100,
        "saturation": 100,
        "target": 1,
    }.items():
        assert math.isnan(found[name]) or 0 <= found[name] <= highest
    for name in ("noise gain", "halo"):
        assert math.isnan(found[name]) or 0 <= found[name] <= 255 / 0.5
    assert not math.isnan(found["overshoot"] + found["excess"] + found["saturation"])
    assert all(not FAULTS[name].severity(value) < 0 for name, value in found.items())


def test_faults_of_fusing_have_names_of_their_own():
    assert not FAULTS.keys() & FAULTS_OF_FUSING.keys()
