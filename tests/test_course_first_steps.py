"""The exercises of notebooks 00 to 04: right answers pass as they are written, wrong ones get a hint."""

import math

import numpy as np
import pytest
import torch
from course_cases import CRASH, crash, right, wrong
from scipy import ndimage

from mambadfuse import metrics
from mambadfuse.course import judging_a_fusion as judging
from mambadfuse.course import selective_scan_and_mamba as scan
from mambadfuse.course import start_here as start
from mambadfuse.course import state_space_models as states
from mambadfuse.course import the_fusion_problem as fusion
from mambadfuse.data.colour import luma
from mambadfuse.data.images import read_image
from mambadfuse.data.samples import samples
from mambadfuse.fusion import baselines
from mambadfuse.models import mamba
from mambadfuse.models.config import MambaConfig
from mambadfuse.models.mambadfuse import MambaDFuse, MambaDFuseConfig

# --------------------------------------------------------------------------------------------- 00, start here


def test_which_rules_are_symmetric():
    a, b = np.random.default_rng(0).random((2, 12, 12))
    torch.manual_seed(0)
    network = MambaDFuse(MambaDFuseConfig(dim=8)).requires_grad_(False)
    x, y = (torch.from_numpy(side).float()[None, None] for side in (a, b))
    changes = {
        name: not np.allclose(rule(a, b), rule(b, a))
        for name, rule in {"mean": baselines.mean, "maximum": baselines.maximum}.items()
    }
    changes["network"] = not torch.allclose(network(x, y), network(y, x))
    assert start.swapped_sources(changes) == "passed"


@right(
    [
        {"network": True, "Maximum": False, "MEAN": False},
        {"mean": 0, "maximum": "no", "network": "yes"},
        [False, False, True],
        np.array([False, False, True]),
        torch.tensor([0, 0, 1]),
    ]
)
def test_swapped_sources_right(answer):
    assert start.swapped_sources(answer) == "passed"


@wrong(
    everything_changes=([True] * 3, "write (a + b) / 2"),
    nothing_changes=([False] * 3, "network: in the figure"),
    maximum_takes_one_side=([False, True, True], "maximum: is the larger of two"),
    mean_is_weighted=([True, False, True], "mean: write"),
    unanswered=(
        {"mean": None, "maximum": None, "network": None},
        "without an answer: mean, maximum, network",
    ),
    unsure=([False, False, "perhaps"], "expected True or False"),
    another_rule=({"median": True}, "nothing is called 'median'"),
)
def test_swapped_sources_wrong(answer, hint):
    assert hint in start.swapped_sources(answer)


def put_back(Y, rgb):
    return Y[..., None] + (rgb - luma(rgb)[..., None])


@right(
    [
        put_back,
        lambda Y, rgb: rgb + (Y - luma(rgb))[:, :, np.newaxis],
        lambda Y, rgb: put_back(Y, rgb).tolist(),
        lambda Y, rgb: torch.from_numpy(put_back(Y, rgb)),
        lambda Y, rgb: np.clip(put_back(Y, rgb), 0, 1).astype(np.float64),
        lambda Y, rgb: np.stack([Y + rgb[..., k] - luma(rgb) for k in range(3)], axis=-1),
    ]
)
def test_colour_put_back_right(answer):
    assert start.colour_put_back(answer) == "passed"


def into_place(Y, rgb):
    rgb += (Y - luma(rgb))[..., None]
    return rgb


@wrong(
    nothing=(lambda Y, rgb: None, "still returns None"),
    called=(np.zeros((2, 3, 3)), "the function itself"),
    grey_alone=(lambda Y, rgb: Y, "third axis"),
    grey_three_times=(lambda Y, rgb: np.stack([Y] * 3, axis=-1), "nothing of rgb is in it"),
    brightness_twice=(lambda Y, rgb: Y[..., None] + rgb, "d has to have luma 0"),
    colour_scaled=(lambda Y, rgb: rgb * (Y / luma(rgb))[..., None], "you scale the colour"),
    sign_lost=(lambda Y, rgb: 2 * Y[..., None] - put_back(Y, rgb), "sign of d"),
    mean_for_luma=(
        lambda Y, rgb: Y[..., None] + rgb - rgb.mean(-1, keepdims=True),
        "the luma of the result is off",
    ),
    half_the_colour=(lambda Y, rgb: (Y[..., None] + put_back(Y, rgb)) / 2, "the colour is not that of rgb"),
    writes_into_rgb=(into_place, "writes into the picture"),
    no_third_axis=(lambda Y, rgb: Y + rgb - luma(rgb), "makes room for a third axis"),
    dots=(lambda Y, rgb: ..., "your function still returns ..."),
    grey_levels=(lambda Y, rgb: (255 * put_back(Y, rgb)).astype(np.uint8), "expected floats in [0, 1]"),
    crash=(crash, CRASH),
)
def test_colour_put_back_wrong(answer, hint):
    assert hint in start.colour_put_back(answer)


@pytest.fixture(scope="module")
def fused():
    """In place of the network's picture, which takes long: the pyramid, sharper than the mean and paler than b."""
    pictures = {}
    for pair in samples("ivf"):
        a, b = (metrics.grey(read_image(path)) for path in (pair.a, pair.b))
        pictures[pair.name] = baselines.laplacian_pyramid(a, b) / 255
    return pictures


@right(
    [
        {"pair": "synthetic_smoke_yard", "score": "MI", "rule": "mean"},
        {"rule": "Mean", "pair": "Synthetic smoke yard", "score": "mi"},
        ("synthetic_smoke_yard", "MI", "mean"),
        ["synthetic_smoke_yard", "MI", "maximum"],
        np.array(["synthetic_smoke_yard", "MI", "MAXIMUM"]),
    ]
)
def test_rule_beats_network_right(answer, fused):
    assert start.rule_beats_network(answer, fused).startswith("passed: MI of synthetic_smoke_yard: network ")


@wrong(
    no_pair=(("smoke", "MI", "mean"), "pair must be one of"),
    no_score=(("synthetic_smoke_yard", "PSNR", "mean"), "score must be one of EN"),
    no_rule=(("synthetic_smoke_yard", "MI", "pyramid"), "rule must be one of mean, maximum"),
    network_is_better=(("synthetic_smoke_yard", "EN", "mean"), "which score rewards what a mean does"),
    without_a_rule=({"pair": "synthetic_smoke_yard", "score": "MI"}, "without an answer: rule"),
    empty=(None, "expected an answer for each of pair, score, rule"),
)
def test_rule_beats_network_wrong(answer, hint, fused):
    assert hint in start.rule_beats_network(answer, fused)


# -------------------------------------------------------------------------------------- 01, the fusion problem

ON_PAPER = {"person": 120, "letter": 0, "sign": -60, "brighter": 10, "itself": True}


def test_what_the_minimum_and_the_pyramid_do():
    a = np.array([80, 200, 80, 80, 80, 80, 100, 40, 100])
    b = np.array([200, 200, 200, 100, 200, 100, 100, 200, 100])
    person, letter, sign = (np.minimum(a, b)[k] - np.minimum(a, b)[k - 1] for k in (1, 4, 7))
    x, y = np.random.default_rng(0).integers(60, 180, (2, 32, 32), dtype=np.uint8)
    once, more = (baselines.laplacian_pyramid(x / 255, side / 255, levels=2) for side in (y, y + 20))
    itself = np.array_equal(baselines.laplacian_pyramid(x, x), x)
    rise = (255 * (more - once)).mean()
    assert fusion.third_rule([person, letter, sign, round(rise, 6), itself]) == "passed"


@right(
    [
        ON_PAPER,
        dict(reversed(ON_PAPER.items())),
        {name.upper(): str(value) for name, value in ON_PAPER.items()},
        ON_PAPER | {"sign": "\N{MINUS SIGN}60"},
        [120.0, 0.0, -60.0, 10.0, 1],
        (np.int64(120), np.float32(0), torch.tensor(-60), np.array([10]), "yes"),
    ]
)
def test_third_rule_right(answer):
    assert fusion.third_rule(answer) == "passed"


@wrong(
    person_as_under_the_maximum=(ON_PAPER | {"person": 0}, "which camera does the minimum take there"),
    letter_as_under_the_maximum=(ON_PAPER | {"letter": 100}, "that is the maximum"),
    sign_without_its_sign=(ON_PAPER | {"sign": 60}, "minus for what is darker"),
    nothing_gets_brighter=(ON_PAPER | {"brighter": 0}, "the coarsest level holds the brightness"),
    all_of_it=(ON_PAPER | {"brighter": 20}, "a mean of both"),
    itself_changes=(ON_PAPER | {"itself": False}, "if its two sources are equal"),
    unanswered=(ON_PAPER | {"person": None}, "without an answer: person"),
)
def test_third_rule_wrong(answer, hint):
    assert hint in fusion.third_rule(answer)


def around(x):
    for axis in (0, 1):
        x = ndimage.correlate1d(x, np.array([1, 4, 6, 4, 1]) / 16, axis=axis, mode="mirror")
    return x


def choose(L_a, L_b):
    return np.where(around(abs(L_a)) >= around(abs(L_b)), L_a, L_b)


def with_masks(L_a, L_b):
    wins = around(abs(L_a)) >= around(abs(L_b))
    return wins * L_a + (1 - wins) * L_b


@right(
    [
        choose,
        with_masks,
        lambda L_a, L_b: choose(L_a, L_b).tolist(),
        lambda L_a, L_b: torch.from_numpy(choose(L_a, L_b)),
        lambda L_a, L_b: np.where(around(abs(L_b)) > around(abs(L_a)), L_b, L_a).astype(np.float64),
    ]
)
def test_stronger_neighbourhood_right(answer):
    assert fusion.stronger_neighbourhood(answer) == "passed"


@wrong(
    nothing=(lambda x, y: None, "still returns None"),
    called=(np.zeros((2, 2)), "the function itself"),
    each_pixel=(lambda x, y: np.where(abs(x) >= abs(y), x, y), "each pixel is still chosen by itself"),
    larger_value=(np.maximum, "that is the larger value"),
    weaker=(lambda x, y: np.where(around(abs(x)) >= around(abs(y)), y, x), "that is the weaker one"),
    signed=(lambda x, y: np.where(around(x) >= around(y), x, y), "first take magnitudes"),
    blurred_first=(lambda x, y: np.where(abs(around(x)) >= abs(around(y)), x, y), "then blur"),
    blurred_detail=(lambda x, y: choose(x, y) * 0 + around(choose(x, y)), "is in neither source"),
    both_blurred=(
        lambda x, y: np.where(around(abs(x)) >= around(abs(y)), around(x), around(y)),
        "has to be the source's own",
    ),
    who=(lambda x, y: around(abs(x)) >= around(abs(y)), "you return who is chosen"),
    unsigned=(lambda x, y: abs(choose(x, y)), "has lost its sign"),
    squares=(lambda x, y: np.where(around(x * x) >= around(y * y), x, y), "blurred squares"),
    ties=(lambda x, y: np.where(around(abs(x)) > around(abs(y)), x, y), "but for ties"),
    a_alone=(lambda x, y: x, "one source everywhere"),
    once_for_all=(lambda x, y: x if abs(x).mean() >= abs(y).mean() else y, "one source everywhere"),
    truth_of_an_array=(
        lambda x, y: x if around(abs(x)) >= around(abs(y)) else y,
        "np.where decides at each pixel",
    ),
    dots=(lambda x, y: ..., "your function still returns ..."),
    smaller=(lambda x, y: x[::2], "expected details of shape"),
    crash=(crash, CRASH),
)
def test_stronger_neighbourhood_wrong(answer, hint):
    assert hint in fusion.stronger_neighbourhood(answer)


@pytest.fixture(scope="module")
def whole_yard():
    pair = next(pair for pair in samples("ivf") if pair.name == "synthetic_smoke_yard")
    return *(metrics.grey(read_image(path)) for path in (pair.a, pair.b)), (165, 260, 60, 60)


def lit(a, b):
    """The detail of the pyramid, over the brightness of b alone."""
    rise = ndimage.gaussian_filter(b.astype(float) - a, 16) / 2
    return np.clip(baselines.laplacian_pyramid(a, b) + rise, 0, 255)


def striped(a, b):
    f = lit(a, b)
    f[165:225:2] = 0
    return f


def sky_pasted(a, b):
    f = baselines.laplacian_pyramid(a, b).copy()
    f[:60] = b[:60]
    return f


def faint_stripes(a, b):
    """Makes up the contrast of the people, no more of it than a has."""
    f = b.copy()
    f[165:225:2] = b[165:225:2] - 70
    return f


def people_by_place(a, b):
    """Sees where the people stand, and nothing else."""
    f = b.copy()
    f[165:225, 260:320] = a[165:225, 260:320]
    return f


@right(
    [
        lit,
        lambda a, b: lit(a, b).round().astype(np.uint8),
        lambda a, b: lit(a, b).astype(np.int64).tolist(),
        lambda a, b: torch.from_numpy(lit(a, b)),
    ]
)
def test_bright_sky_right(answer, whole_yard):
    assert fusion.bright_sky(answer, *whole_yard).startswith("passed: the sky is ")


@wrong(
    nothing=(lambda a, b: None, "still returns None"),
    unchanged=(
        baselines.laplacian_pyramid,
        "the sky is off by 95.8 grey levels, the people have a contrast of 37",
    ),
    maximum=(baselines.maximum, "it has to be 25 at least"),
    b_alone=(lambda a, b: b, "do all scales choose their detail"),
    a_alone=(lambda a, b: a, "which level of the pyramid is the sky"),
    fractions=(lambda a, b: lit(a, b) / 255, "multiply by 255"),
    half_the_size=(lambda a, b: b[::2, ::2], "expected a picture of shape"),
    people_pasted=(people_by_place, "not for the pair turned on its side"),
    sky_pasted=(sky_pasted, "not for the pair turned on its side (transposed): the sky is off by"),
    faint_stripes=(faint_stripes, "not for the pair turned on its side"),
    dots=(lambda a, b: ..., "your function still returns ..."),
    stripes=(striped, "where does the rest come from"),
    crash=(crash, CRASH),
)
def test_bright_sky_wrong(answer, hint, whole_yard):
    assert hint in fusion.bright_sky(answer, *whole_yard)


# ---------------------------------------------------------------------------------------- 02, judging a fusion

SAME = {
    "EN": True,
    "SD": True,
    "SF": False,
    "MI": True,
    "SCD": True,
    "VIF": False,
    "Qabf": False,
    "SSIM": False,
}


def test_which_scores_survive_a_shuffle():
    rng = np.random.default_rng(0)
    f, a, b = (np.cumsum(rng.integers(-3, 4, (44, 44)), axis=1) * 4 % 256 for _ in "fab")
    f, a, b = (x.astype(np.uint8) for x in (f, a, b))
    order = rng.permutation(a.size)
    before = metrics.evaluate(f, a, b, metrics=metrics.EIGHT)
    after = metrics.evaluate(*(x.ravel()[order].reshape(x.shape) for x in (f, a, b)), metrics=metrics.EIGHT)
    assert judging.shuffled_pixels({k: abs(after[k] - before[k]) < 1e-9 for k in before}) == "passed"


@right(
    [
        SAME,
        dict(reversed(SAME.items())),
        {name.lower(): str(value) for name, value in SAME.items()},
        list(SAME.values()),
        torch.tensor(list(SAME.values())),
    ]
)
def test_shuffled_pixels_right(answer):
    assert judging.shuffled_pixels(answer) == "passed"


@wrong(
    all_change=([False] * 8, "EN: the histogram"),
    none_changes=([True] * 8, "SF: it is made of differences between neighbours"),
    mutual_information_looks=(SAME | {"MI": False}, "MI: it counts"),
    correlation_looks=(SAME | {"SCD": False}, "SCD: it correlates"),
    vif_is_information=(SAME | {"VIF": True}, "VIF: it looks through windows"),
    ssim_is_statistics=(SAME | {"SSIM": True}, "SSIM: it compares means and variances in windows"),
    unanswered=(SAME | {"Qabf": None}, "without an answer: Qabf"),
)
def test_shuffled_pixels_wrong(answer, hint):
    assert hint in judging.shuffled_pixels(answer)


def AG(f):
    gy, gx = np.gradient(f)
    return np.sqrt((gx**2 + gy**2) / 2).mean()


def gradients(f):
    return np.gradient(f.astype(float))


@right(
    [
        AG,
        lambda f: float(AG(f)),
        lambda f: torch.tensor(AG(f)),
        lambda f: np.array([AG(f)]),
        lambda f: float(np.hypot(*gradients(f)).mean() / math.sqrt(2)),
    ]
)
def test_average_gradient_right(answer):
    assert judging.average_gradient(answer) == "passed"


@wrong(
    nothing=(lambda f: None, "still returns None"),
    no_mean=(lambda f: np.sqrt(sum(g**2 for g in gradients(f)) / 2), "what does the bar mean"),
    no_half=(lambda f: np.hypot(*gradients(f)).mean(), "factor of √2"),
    half_outside=(lambda f: np.hypot(*gradients(f)).mean() / 2, "below the root"),
    no_root=(lambda f: (sum(g**2 for g in gradients(f)) / 2).mean(), "the root is missing"),
    root_of_the_mean=(
        lambda f: np.sqrt((sum(g**2 for g in gradients(f)) / 2).mean()),
        "AG is the mean of the roots",
    ),
    two_roots=(lambda f: sum(abs(g) for g in gradients(f)).mean() / math.sqrt(2), "sum of both squares"),
    neighbours=(
        lambda f: (np.hypot(np.diff(f * 1.0)[:-1], np.diff(f * 1.0, axis=0)[:, :-1]) / math.sqrt(2)).mean(),
        "from one pixel before to one after",
    ),
    one_direction=(lambda f: abs(gradients(f)[1]).mean() / math.sqrt(2), "are both g_x and g_y in it"),
    differences_not_halved=(lambda f: 2 * AG(f), "divided by 2"),
    rounded=(lambda f: round(AG(f), 2), "right, but rounded"),
    no_border=(
        lambda f: (np.hypot(*(g[1:-1, 1:-1] for g in gradients(f))) / math.sqrt(2)).mean(),
        "you leave the border out",
    ),
    wrapped=(
        lambda f: (
            np.hypot((f[1:-1, 2:] - f[1:-1, :-2]) / 2, (f[2:, 1:-1] - f[:-2, 1:-1]) / 2).mean() / math.sqrt(2)
        ),
        "can your differences be negative",
    ),
    dots=(lambda f: ..., "your function still returns ..."),
    crash=(crash, CRASH),
)
def test_average_gradient_wrong(answer, hint):
    assert hint in judging.average_gradient(answer)


@pytest.fixture(scope="module")
def yard():
    """The sources at half size, and the window of the people there."""
    pair = next(pair for pair in samples("ivf") if pair.name == "synthetic_smoke_yard")
    a, b = (metrics.grey(read_image(path))[::2, ::2].copy() for path in (pair.a, pair.b))
    return a, b, (82, 130, 30, 30)


def sharpened(a, b):
    x = b.astype(np.float64)
    around = (np.roll(x, 1, 0) + np.roll(x, -1, 0) + np.roll(x, 1, 1) + np.roll(x, -1, 1)) / 4
    return np.clip(x + 0.2 * (x - around), 0, 255)


@right(
    [
        lambda a, b: sharpened(a, b).round().astype(np.uint8),
        sharpened,
        lambda a, b: sharpened(a, b).astype(np.int64).tolist(),
        lambda a, b: torch.from_numpy(sharpened(a, b)),
    ]
)
def test_forgery_right(answer, yard):
    assert judging.forgery(answer, *yard).startswith("passed: better in 7 of 8, people at ")


@wrong(
    nothing=(lambda a, b: None, "still returns None"),
    one_camera=(lambda a, b: a, "behind in"),
    one_short=(lambda a, b: b, "one more is wanted: what raises SF or SCD"),
    dots=(lambda a, b: ..., "your function still returns ..."),
    honest=(baselines.laplacian_pyramid, "better in 0 of 8"),
    noise=(lambda a, b: np.random.default_rng(0).integers(0, 256, a.shape), "behind in MI"),
    fractions=(lambda a, b: b / 255, "multiply by 255"),
    out_of_range=(lambda a, b: a.astype(float) + b, "grey levels end at 0 and 255"),
    colour=(lambda a, b: np.stack([a, b, b], axis=-1), "expected a picture of shape"),
    not_a_number=(lambda a, b: b / np.zeros(b.shape), "infinities or NaN"),
    crash=(crash, CRASH),
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the answer not_a_number divides by zero
def test_forgery_wrong(answer, hint, yard):
    assert hint in judging.forgery(answer, *yard)


# --------------------------------------------------------------------------------------- 03, state-space models

MEMORY = {"half": 7, "row": 0.002, "skipped": 3, "euler": "grow"}


def test_what_a_memory_does():
    left = np.exp(-0.1 * np.arange(100))
    h = math.exp(0) * 3 + 0 * 50  # A_bar h + B_bar u at Δ = 0
    euler = "grow" if abs(1 - 2.5) > 1 else "shrink"
    assert states.memory([int((left >= 0.5).sum()), 1 / 500, h, euler]) == "passed"


@right(
    [
        MEMORY,
        dict(reversed(MEMORY.items())),
        {"Half": "7", "Row": "1/500", "Skipped": 3.0, "Euler": "It grows"},
        [np.int64(7), np.float32(0.002), torch.tensor(3.0), "GROW"],
        (7, torch.tensor([0.002]), np.array(3), "growing"),
    ]
)
def test_memory_right(answer):
    assert states.memory(answer) == "passed"


@wrong(
    rounded_down=(MEMORY | {"half": 6}, "e^(-0.6) = 0.55 is left"),
    not_whole=(MEMORY | {"half": 6.93}, "tokens are whole"),
    straight_line=(MEMORY | {"half": 5}, "not a straight line"),
    one_over_e=(MEMORY | {"half": 10}, "1 / e is left"),
    the_memory_itself=(MEMORY | {"row": 500}, "which Δ has it"),
    input_added=(MEMORY | {"skipped": 53}, "B̄ = 1 - e^(-Δ) first"),
    replaced=(MEMORY | {"skipped": 50}, "3 by Ā and 50 by B̄"),
    emptied=(MEMORY | {"skipped": 0}, "no time passes"),
    euler_decays=(MEMORY | {"euler": "shrinks"}, "without its sign"),
    euler_stays=(MEMORY | {"euler": "same"}, "expected one of grow, shrink"),
)
def test_memory_wrong(answer, hint):
    assert hint in states.memory(answer)


def trapezoid(delta, A, B):
    return (1 + delta * A / 2) / (1 - delta * A / 2), delta * B / (1 - delta * A / 2)


@right(
    [
        trapezoid,
        lambda delta, A, B: list(trapezoid(delta, A, B)),
        lambda delta, A, B: tuple(x.numpy() for x in trapezoid(delta, A, B)),
        lambda delta, A, B: tuple(x.tolist() for x in trapezoid(delta, A, B)),
        lambda delta, A, B: ((2 + delta * A) / (2 - delta * A), 2 * delta * B / (2 - delta * A)),
        lambda delta, A, B: tuple(x.float() for x in trapezoid(delta, A, B)),
    ]
)
def test_trapezoid_rule_right(answer):
    assert states.trapezoid_rule(answer) == "passed"


@wrong(
    nothing=(lambda d, A, B: None, "still returns None"),
    one_part=(lambda d, A, B: trapezoid(d, A, B)[0], "expected a pair"),
    exact=(lambda d, A, B: (torch.exp(d * A), d * B), "the exact one"),
    euler=(lambda d, A, B: (1 + d * A, d * B), "Euler's"),
    backward_euler=(lambda d, A, B: (1 / (1 - d * A), d * B / (1 - d * A)), "end of the step alone"),
    sign=(lambda d, A, B: ((1 - d * A / 2) / (1 + d * A / 2), d * B / (1 + d * A / 2)), "a sign is lost"),
    other_order=(lambda d, A, B: trapezoid(d, A, B)[::-1], "B_bar before A_bar"),
    input_not_divided=(
        lambda d, A, B: (trapezoid(d, A, B)[0], d * B),
        "is divided by what stands before h_t",
    ),
    input_without_step=(lambda d, A, B: (trapezoid(d, A, B)[0], B / (1 - d * A / 2)), "the step is missing"),
    something=(lambda d, A, B: (d, d), "does not solve it"),
    dots=(lambda d, A, B: ..., "your function still returns ..."),
    crash=(crash, CRASH),
)
def test_trapezoid_rule_wrong(answer, hint):
    assert hint in states.trapezoid_rule(answer)


RINGING = complex(-math.log(2) / 5, 2 * math.pi / 2.5)


@right(
    [
        RINGING,
        RINGING.conjugate(),
        np.complex64(RINGING),
        torch.tensor(RINGING),
        (RINGING.real, RINGING.imag),
        "-0.1386 + 2.513i",
    ]
)
def test_ringing_right(answer):
    assert states.ringing(answer) == "passed"


@wrong(
    as_given=(complex(-1, 0), "the real part decides that"),
    real=(-math.log(2) / 5, "a real number does not swing"),
    growing=(RINGING * -1, "it grows"),
    no_step=(RINGING / 10, "the real part decides that"),
    in_turns=(complex(RINGING.real, 0.4), "it swings 0.16 times"),
    twice=(complex(RINGING.real, 2 * RINGING.imag), "it swings 2.00 times"),
    nothing=(None, "expected one complex number"),
    words=("a bell", "expected one complex number"),
    no_number=(complex(math.nan, RINGING.imag), "the real part decides that"),
    no_swing=(complex(RINGING.real, math.nan), "the imaginary part decides that"),
)
def test_ringing_wrong(answer, hint):
    assert hint in states.ringing(answer)


# ------------------------------------------------------------------------------ 04, selective scan and Mamba

COSTS = {"rounds": 20, "scan": 4, "attention": 16, "memory": 2280}


def test_what_a_unit_carries_from_token_to_token():
    unit, caches = mamba.Mamba(MambaConfig(60)), {}
    with torch.no_grad():
        unit.ssm(torch.randn(1, 9, 120), caches=caches)
    cache = caches[unit.ssm]
    memory = cache.ssm_state.numel() + cache.conv_state.numel()
    assert scan.costs(COSTS | {"memory": memory, "rounds": 2 * int(math.log2(1024))}) == "passed"


@right(
    [
        COSTS,
        dict(reversed(COSTS.items())),
        {name.upper(): str(value) for name, value in COSTS.items()},
        np.array(list(COSTS.values())),
        torch.tensor([20.0, 4, 16, 2280]),
    ]
)
def test_costs_right(answer):
    assert scan.costs(answer) == "passed"


@wrong(
    there_alone=(COSTS | {"rounds": 10}, "and back?"),
    token_by_token=(COSTS | {"rounds": 1024}, "handles all pairs at once"),
    twice_the_side=(COSTS | {"scan": 2}, "how many times the pixels"),
    attention_linear=(COSTS | {"attention": 4}, "how many times the pairs of tokens"),
    states_alone=(COSTS | {"memory": 1920}, "those are the states"),
    present_token=(COSTS | {"memory": 2400}, "one is the present one"),
    outer_channels=(COSTS | {"memory": 960}, "E inner channels"),
    convolution_alone=(COSTS | {"memory": 360}, "that is the convolution's share"),
)
def test_costs_wrong(answer, hint):
    assert hint in scan.costs(answer)


def backward(dy, a, C):
    dh, dx = torch.zeros(()), torch.empty_like(dy)
    for t in reversed(range(len(dy))):
        dh = C[t] * dy[t] + dh
        dx[t] = dh
        dh = a[t] * dh
    return dx


def forward(a, x):
    h, states = 0.0, []
    for a_t, x_t in zip(a, x, strict=True):
        h = a_t * h + x_t
        states.append(h)
    return torch.stack(states)


def by_autograd(dy, a, C):
    x = torch.zeros(8, dtype=dy.dtype, requires_grad=True)
    return torch.autograd.grad((C * forward(a, x) * dy).sum(), x)[0]


def from_the_right(dy, a, C):
    return forward(a.flip(0), (C * dy).flip(0)).flip(0)


def into_its_input(dy, a, C):
    dy.copy_(backward(dy, a, C))
    return dy


@right(
    [
        backward,
        by_autograd,
        lambda dy, a, C: backward(dy, a, C).tolist(),
        lambda dy, a, C: list(backward(dy, a, C)),
        lambda dy, a, C: backward(dy, a, C).numpy(),
    ]
)
def test_backward_pass_right(answer):
    assert scan.backward_pass(answer) == "passed"


@wrong(
    nothing=(lambda dy, a, C: None, "still returns None"),
    dots=(lambda dy, a, C: ..., "still returns ..."),
    last_state=(lambda dy, a, C: backward(dy, a, C)[0], "expected shape (8,), found ()"),
    own_alone=(lambda dy, a, C: C * dy, "the term with the next token is missing"),
    other_decay=(from_the_right, "which a took h_t into h_{t+1}"),
    no_decay=(lambda dy, a, C: backward(dy, torch.ones_like(a), C), "a is missing"),
    no_C=(lambda dy, a, C: backward(dy, a, torch.ones_like(C)), "C is missing"),
    last_token_first=(lambda dy, a, C: backward(dy, a, C).flip(0), "turn them round"),
    next_token_alone=(
        lambda dy, a, C: C * dy + torch.cat([a[1:] * C[1:] * dy[1:], torch.zeros(1)]),
        "only the next token is heard",
    ),
    forwards=(lambda dy, a, C: forward(a, C * dy), "the gradient comes from the tokens after t"),
    last_token_wrong=(lambda dy, a, C: backward(dy, a, C) + 1, "start with the last token"),
    first_token_wrong=(
        lambda dy, a, C: backward(dy, a, C) + (torch.arange(8) == 2),
        "the first wrong one is token 2",
    ),
    writes_into_dy=(into_its_input, "writes into the tensors"),
    crash=(crash, CRASH),
)
def test_backward_pass_wrong(answer, hint):
    assert hint in scan.backward_pass(answer)


def accuracy(sees):
    """As in the notebook: when to remember and what is asked are enough."""
    return torch.tensor([0.99 if {"delta", "C"} <= set(sees) else 0.4])


@right([("delta", "C"), ["C", "delta"], {"C", "DELTA"}, "delta and c", "C, delta", np.array(["C", "delta"])])
def test_selective_parameters_right(answer):
    assert scan.selective_parameters(answer, accuracy) == "passed"


@wrong(
    one=("delta", "delta alone gets 40 %"),
    others=(("B", "C"), "B and C get 40 %"),
    all_three=(("delta", "B", "C"), "find at most two"),
    decay=(("A", "C"), "nothing is called 'A'"),
    number=(2, "expected some of delta, B, C"),
)
def test_selective_parameters_wrong(answer, hint):
    assert hint in scan.selective_parameters(answer, accuracy)


@pytest.mark.parametrize("answer", [(), [], "", set(), None, ...], ids=repr)
def test_an_empty_answer_is_refused_before_anything_is_trained(answer):
    verdict = scan.selective_parameters(answer, crash)
    assert verdict.startswith("not yet")
    assert "delta, B, C" in verdict


def test_a_training_that_fails_is_told():
    assert "ZeroDivisionError" in scan.selective_parameters("B", crash)
