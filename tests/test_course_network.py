"""The exercises of notebooks 05 to 08: right answers pass as they are written, wrong ones get a hint."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from course_cases import CRASH, crash, right, wrong
from notebook_code import definitions

from mambadfuse.course import channel_exchange as exchange
from mambadfuse.course import dual_level_extraction as extraction
from mambadfuse.course import m3_deep_fusion as deep
from mambadfuse.course import reconstruction_and_losses as losses
from mambadfuse.losses import FusionLoss, gradients
from mambadfuse.models.checkpoints import load
from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.models.deep_fusion import M3Block
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.models.shallow_fusion import exchange_channels

# ------------------------------------------------------------------------------- 05, dual-level extraction

SEEN = {
    "five pixels to the right, same row": True,
    "five pixels to the right, two rows below": False,
    "two rows below, same column": True,
    "three rows below, same column": False,
}


@right(
    [
        SEEN,
        dict(reversed(SEEN.items())),
        {name.upper().replace(",", ""): int(value) for name, value in SEEN.items()},
        [True, False, True, False],
        np.array([1, 0, 1, 0]),
        ("yes", "no", "yes", "no"),
    ]
)
def test_pixels_seen_right(answer):
    assert extraction.pixels_seen(answer) == "passed"


@wrong(
    p_before_the_pixel=([False, False, True, False], "which features come before p and have it"),
    whole_rows=([True, True, True, False], "how many rows below p"),
    blind_below=([True, False, False, False], "how far down does the 5x5 window"),
    everything=([True] * 4, "2 of 4 are right"),
    nothing=([False] * 4, "2 of 4 are right"),
    window_of_seven=([True, False, True, True], "would have it in its window"),
    unanswered=(dict.fromkeys(SEEN), "still without an answer: five pixels"),
)
def test_pixels_seen_wrong(answer, hint):
    assert hint in extraction.pixels_seen(answer)


def down(f):
    return lambda x: f(x.transpose(2, 3)).transpose(2, 3)


@right(
    [
        down,
        lambda f: lambda x: f(x.mT).mT,
        lambda f: lambda x: f(x.permute(0, 1, 3, 2)).permute(0, 1, 3, 2),
        lambda f: lambda x: down(f)(x).numpy(),
        lambda f: lambda x: down(f)(x).tolist(),
    ]
)
def test_column_order_right(answer):
    assert extraction.column_order(answer) == "passed"


@wrong(
    nothing=(lambda f: None, "expected a function of maps"),
    returns_none=(lambda f: lambda x: None, "still returns None"),
    along_rows=(lambda f: f, "still reads along the rows"),
    not_turned_back=(lambda f: lambda x: f(x.mT), "expected shape"),
    f_unused=(lambda f: lambda x: x, "f is never called"),
    mirrored=(lambda f: lambda x: f(x.flip(3)).flip(3), "from their end"),
    backwards=(lambda f: lambda x: f(x.flip(2, 3)).flip(2, 3), "the whole raster backwards"),
    turned=(lambda f: lambda x: f(x.rot90(1, (2, 3))).rot90(-1, (2, 3)), "f reads"),
    turned_the_other_way=(lambda f: lambda x: f(x.rot90(-1, (2, 3))).rot90(1, (2, 3)), "f reads"),
    turned_twice=(lambda f: lambda x: f(x.mT).rot90(1, (2, 3)), "is the map turned back"),
    reshaped=(lambda f: lambda x: f(x.reshape(2, 3, 4, 3)).reshape(x.shape), "still reads along the rows"),
    crash=(crash, CRASH),
    crash_later=(lambda f: crash, "ZeroDivisionError"),
)
def test_column_order_wrong(answer, hint):
    assert hint in extraction.column_order(answer)


def rows_seen_below(config, row=2):
    """How many rows below itself a pixel of the fused picture sees, with random weights."""
    torch.manual_seed(0)
    small = replace(
        config, dim=8, state=2, extraction_depth=1, reconstruction_depth=1
    )  # scans do not look down
    net = MambaDFuse(small).double().requires_grad_(False)
    x = torch.rand(1, 1, 20, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(net(x, x.detach())[0, 0, row, 1], x)
    return int(slope[0, 0].abs().amax(dim=1).nonzero().max()) - row


@pytest.mark.slow
def test_how_far_down_a_fused_pixel_sees():
    presets = {name: getattr(MambaDFuseConfig, name)() for name in ("lite", "published", "figure")}
    measured = {name: rows_seen_below(config) for name, config in presets.items()}
    assert extraction.rows_below(measured) == "passed"


ROWS = {"lite": 9, "published": 12, "figure": 6}


@right(
    [
        ROWS,
        dict(reversed(ROWS.items())),
        [9, 12, 6],
        np.array([9, 12, 6]),
        {"Lite": "9", "PUBLISHED": 12.0, "figure": 6},
    ]
)
def test_rows_below_right(answer):
    assert extraction.rows_below(answer) == "passed"


@wrong(
    low_level_alone=(ROWS | {"lite": 2}, "that is the low level alone"),
    no_fusion=(ROWS | {"published": 5}, "the two stages between them"),
    blocks_forgotten=(ROWS | {"published": 7}, "how many M3 blocks"),
    one_block=(ROWS | {"published": 8}, "they follow each other"),
    parallel=(ROWS | {"lite": 8}, "fed by the first one"),
    sequential_figure=(ROWS | {"figure": 7}, "which inputs"),
    figure_like_published=(ROWS | {"figure": 12}, "at the end of its M3 blocks"),
    miscounted=(ROWS | {"lite": 20}, "add up"),
)
def test_rows_below_wrong(answer, hint):
    assert hint in extraction.rows_below(answer)


# ------------------------------------------------------------------------------------- 06, channel exchange

SWAPPED = {"channels swapped, p = 2": 30, "channels swapped, p = 7": 9, "stream a carries": "b"}


def test_what_the_package_swaps():
    a, b = torch.zeros(60), torch.ones(60)
    counts = [int(exchange_channels(a, b, p)[0].sum()) for p in (2, 7)]
    for _ in range(3):
        a, b = exchange_channels(a, b, 1)
    assert exchange.channels_swapped([*counts, "b" if a.all() else "a"]) == "passed"


@right(
    [
        SWAPPED,
        dict(reversed(SWAPPED.items())),
        {"stream a carries": "B", "Channels swapped, p=7": "9", "channels swapped p 2": 30.0},
        [np.int64(30), torch.tensor(9), "b"],
        ("30", 9, "b's"),
    ]
)
def test_channels_swapped_right(answer):
    assert exchange.channels_swapped(answer) == "passed"


@wrong(
    all_channels=(SWAPPED | {"channels swapped, p = 2": 60}, "which of them move"),
    period=(SWAPPED | {"channels swapped, p = 2": 2}, "not the number"),
    rounded_down=(SWAPPED | {"channels swapped, p = 7": 8}, "channel 0 is swapped as well"),
    not_whole=(SWAPPED | {"channels swapped, p = 7": 8.57}, "channels are whole"),
    back_again=(SWAPPED | {"stream a carries": "a"}, "three swaps"),
    both=(SWAPPED | {"stream a carries": "a and b"}, "expected one of a, b"),
    word_with_its_letter=(SWAPPED | {"stream a carries": "both"}, "expected one of a, b"),
)
def test_channels_swapped_wrong(answer, hint):
    assert hint in exchange.channels_swapped(answer)


def exchange_from(a, b, p, o):
    swapped = torch.arange(a.shape[-1]) % p == o
    return torch.where(swapped, b, a), torch.where(swapped, a, b)


def by_slices(a, b, p, o):
    new_a, new_b = a.clone(), b.clone()
    new_a[..., o::p], new_b[..., o::p] = b[..., o::p], a[..., o::p]
    return [new_a, new_b]


def careless(a, b, p, o):
    a, b = a.clone(), b.clone()
    a[..., o::p] = b[..., o::p]
    b[..., o::p] = a[..., o::p]
    return a, b


def into_its_inputs(a, b, p, o):
    swapped = a[..., o::p].clone()
    a[..., o::p], b[..., o::p] = b[..., o::p].clone(), swapped
    return a, b


@right(
    [
        exchange_from,
        by_slices,
        lambda a, b, p, o: tuple(x.numpy() for x in exchange_from(a, b, p, o)),
        lambda a, b, p, o: tuple(x.tolist() for x in exchange_from(a, b, p, o)),
        lambda a, b, p, o: torch.stack(exchange_from(a, b, p, o)).unbind(0),
    ]
)
def test_exchange_with_offset_right(answer):
    assert exchange.exchange_with_offset(answer) == "passed"


@wrong(
    nothing=(lambda a, b, p, o: None, "still returns None"),
    one_stream=(lambda a, b, p, o: exchange_from(a, b, p, o)[0], "expected a pair"),
    no_offset=(lambda a, b, p, o: exchange_from(a, b, p, 0), "found 0, 3, 6"),
    only_the_first=(lambda a, b, p, o: exchange_from(a, b, 99, o), "found 1"),
    counted_from_the_end=(lambda a, b, p, o: exchange_from(a, b, p, (p - o) % p), "other channels"),
    nothing_moves=(lambda a, b, p, o: (a.clone(), b.clone()), "found none"),
    careless=(careless, "broken law"),
    tokens=(
        lambda a, b, p, o: tuple(x.transpose(1, 2) for x in exchange_from(a.mT, b.mT, p, o)),
        "channels are the last axis",
    ),
    all_overwritten=(lambda a, b, p, o: (b.clone(), b.clone()), "both streams come back the same"),
    b_first=(lambda a, b, p, o: exchange_from(a, b, p, o)[::-1], "you return b before a"),
    writes_into_inputs=(into_its_inputs, "writes into the tensors"),
    dots=(lambda a, b, p, o: ..., "your function still returns ..."),
    crash=(crash, CRASH),
)
def test_exchange_with_offset_wrong(answer, hint):
    assert hint in exchange.exchange_with_offset(answer)


@right(
    [
        {"shallow_order": "parallel"},
        {"shallow_conv_inputs": "own"},
        {"Shallow order": "Parallel"},
        ("shallow_order", "parallel"),
        ["shallow_conv_inputs", "own"],
        "shallow_order=parallel",
        'shallow_order = "parallel"',
    ]
)
def test_fair_shallow_phase_right(answer):
    assert exchange.fair_shallow_phase(answer) == "passed"


@wrong(
    empty=({}, "expected one field with its value, found 0"),
    both=({"shallow_order": "parallel", "shallow_conv_inputs": "own"}, "found 2"),
    another=({"exchange_period": 1}, "what do the two last convolutions read"),
    as_it_is=({"shallow_order": "sequential"}, "already"),
    unknown=({"order": "parallel"}, "the configuration has no field 'order'"),
    no_such_value=({"shallow_order": "together"}, "no network can be built of this"),
    name_alone=("shallow_order", "expected {"),
    nothing=(None, "expected {"),
)
def test_fair_shallow_phase_wrong(answer, hint):
    assert hint in exchange.fair_shallow_phase(answer)


# --------------------------------------------------------------------------------------- 07, M3 deep fusion

CHANGED = {"block 1": "b", "block 2": "fb"}


def test_which_terms_a_new_guide_changes():
    torch.manual_seed(0)
    M3 = definitions("07")["M3"]
    f, r, a, b, new = (torch.randn(1, 12, 8) for _ in range(5))
    blocks = [M3(MambaDFuseConfig(dim=8, state=4)) for _ in range(2)]
    entered = [[f + r, f + r], [sum(blocks[0](f, r, a, guide, 3)) for guide in (b, new)]]
    changed = []
    for block, (old_r, new_r) in zip(blocks, entered, strict=True):
        before, after = block.terms(old_r, a, b), block.terms(new_r, a, new)
        changed.append("".join(k for k in "fab" if not torch.equal(before[k], after[k])))
    assert deep.changed_terms(changed) == "passed"


@right(
    [
        CHANGED,
        {"Block 2": "bf", "block 1": "B"},
        {"block 1": ["b"], "block 2": {"f", "b"}},
        [("b",), ("b", "f")],
        ("b", "f and b"),
        {"block 1": " b ", "block 2": np.array(["F", "B"])},
    ]
)
def test_changed_terms_right(answer):
    assert deep.changed_terms(answer) == "passed"


@wrong(
    f_at_once=(CHANGED | {"block 1": "fb"}, "f and a enter the first block as before"),
    everything=(CHANGED | {"block 1": "fab"}, "f and a enter the first block as before"),
    nothing_in_block_1=(CHANGED | {"block 1": ""}, "reads its own stream alone"),
    b_alone=(CHANGED | {"block 2": "b"}, "the first block wrote its sum"),
    f_alone=(CHANGED | {"block 2": "f"}, "is b still the new one"),
    all_three=(CHANGED | {"block 2": "fab"}, "does a block change the guides"),
    another_letter=(CHANGED | {"block 2": "fc"}, "nothing is called 'c'"),
    unanswered=({"block 1": "b", "block 2": None}, "without an answer: block 2"),
)
def test_changed_terms_wrong(answer, hint):
    assert hint in deep.changed_terms(answer)


def counted(C, gate):
    E, N, W, R = 2 * C, 16, 4, math.ceil(C / 16)
    scan = (W * E + E) + E * (R + 2 * N) + (R * E + E) + E
    projections = 2 * C * E + 2 * C * (2 * E if gate == "own" else E)
    return 3 * 2 * C + projections + 3 * scan + 2 * E * N + E * C + 9 * C + C


@right(
    [
        counted,
        lambda C, gate: float(counted(C, gate)),
        lambda C, gate: np.int64(counted(C, gate)),
        lambda C, gate: torch.tensor(counted(C, gate)),
        lambda C, gate: sum(p.numel() for p in M3Block(MambaDFuseConfig(dim=C, gate=gate)).parameters()),
    ]
)
def test_block_parameters_right(answer):
    assert deep.block_parameters(answer) == "passed"


@wrong(
    nothing=(lambda C, gate: None, "still returns None"),
    no_norms=(lambda C, gate: counted(C, gate) - 6 * C, "the three norms"),
    norms_without_bias=(lambda C, gate: counted(C, gate) - 3 * C, "has a bias, too"),
    no_conv_bias=(lambda C, gate: counted(C, gate) - C, "bias of the depthwise convolution"),
    no_depthwise=(lambda C, gate: counted(C, gate) - 10 * C, "weight and bias of the depthwise convolution"),
    three_matrices=(lambda C, gate: counted(C, gate) + 32 * C, "share one matrix A"),
    one_matrix=(lambda C, gate: counted(C, gate) - 32 * C, "there are two matrices A"),
    no_skip=(lambda C, gate: counted(C, gate) - 6 * C, "the skip D"),
    rank_rounded_down=(
        lambda C, gate: counted(C, gate) - 12 * C * (math.ceil(C / 16) - C // 16),
        "rounded up, not down",
    ),
    rank_not_rounded=(lambda C, gate: counted(C, gate) - 12 * C * (math.ceil(C / 16) - C / 16), "rounded up"),
    dense_convolution=(lambda C, gate: counted(C, gate) + 9 * C * (C - 1), "not for each pair of channels"),
    gate_ignored=(lambda C, gate: counted(C, "own"), "without a gate of its own, a guide projects to E"),
    one_scan=(lambda C, gate: 1000, "71,120 fewer than there are"),
    text=(lambda C, gate: "many", "expected a number"),
    crash=(crash, CRASH),
)
def test_block_parameters_wrong(answer, hint):
    if hint.startswith("without a gate"):
        assert "gate of kind 'shared'" in deep.block_parameters(answer)
    assert hint in deep.block_parameters(answer)


@pytest.fixture(scope="module")
def model():
    return load("ivf")


@pytest.fixture(scope="module")
def uneven(model):
    """The shipped network with the steps of its two guides moved apart, which training may leave alike."""
    moved = copy.deepcopy(model)
    for block in moved.deep.blocks:
        block.ssm_b.dt_proj.bias.data += 0.3
    return moved


def biases(model, *names):
    return torch.cat(
        [getattr(block, name).dt_proj.bias.detach() for block in model.deep.blocks for name in names]
    )


def softplus(x):
    return torch.nn.functional.softplus(x)


GUIDES = ("ssm_a", "ssm_b")
AS_TYPES = {
    "float": float,
    "tensor": lambda x: x,
    "array": lambda x: x.numpy(),
    "numpy scalar": lambda x: np.float32(x),
    "text": lambda x: f"{float(x):.4g}",
}


@pytest.mark.parametrize("as_type", AS_TYPES.values(), ids=AS_TYPES)
def test_median_step_right(as_type, model):
    assert deep.median_step(as_type(softplus(biases(model, *GUIDES)).median()), model) == "passed"


def test_the_median_may_lie_between_the_two_middle_steps(model):
    assert deep.median_step(np.median(softplus(biases(model, *GUIDES)).numpy()), model) == "passed"


STEPS = {
    "bias": (lambda m: biases(m, *GUIDES).median(), "the median of the biases"),
    "exponential": (lambda m: biases(m, *GUIDES).exp().median(), "you took e^x alone"),
    "mean": (lambda m: softplus(biases(m, *GUIDES)).mean(), "that is the mean"),
    "guide a": (lambda m: softplus(biases(m, "ssm_a")).median(), "are both guides of all blocks in it"),
    "guide b": (lambda m: softplus(biases(m, "ssm_b")).median(), "guide b alone"),
    "fused": (lambda m: softplus(biases(m, "ssm_fused")).median(), "that is the fused stream"),
    "guess": (lambda m: 0.0001, "is softplus applied before the median"),
    "all": (lambda m: softplus(biases(m, *GUIDES)), "expected one number"),
    "empty": (lambda m: None, "still None"),
}


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_the_median_may_be_rounded(digits, model):
    assert (
        deep.median_step(round(float(softplus(biases(model, *GUIDES)).median()), digits), model) == "passed"
    )


@pytest.mark.parametrize(("answer", "hint"), STEPS.values(), ids=STEPS)
def test_median_step_wrong(answer, hint, uneven):
    assert hint in deep.median_step(answer(uneven), uneven)


# ------------------------------------------------------------------------- 08, reconstruction and losses

ZERO = {"intensity": True, "gradient": False, "structure": False}


def test_which_terms_the_maximum_satisfies():
    a, b = torch.rand(2, 1, 1, 16, 16, generator=torch.Generator().manual_seed(0)).unbind(0)
    terms = FusionLoss.vif()(torch.maximum(a, b), a, b)
    assert losses.zero_terms({name: bool(getattr(terms, name) < 1e-6) for name in ZERO}) == "passed"


@right(
    [
        ZERO,
        dict(reversed(ZERO.items())),
        {"Intensity": "yes", "Gradient": "no", "Structure": "no"},
        [True, False, False],
        torch.tensor([1, 0, 0]),
    ]
)
def test_zero_terms_right(answer):
    assert losses.zero_terms(answer) == "passed"


@wrong(
    all_zero=([True] * 3, "1 of 3 are right; gradient: think of an edge in the darker"),
    none_zero=([False] * 3, "insert f = max(a, b)"),
    edges_kept=(ZERO | {"gradient": True}, "gradient: think of an edge"),
    structure_kept=(ZERO | {"structure": True}, "the structure of a and of b at once"),
    unanswered=(dict.fromkeys(ZERO), "without an answer: intensity, gradient, structure"),
    values=([0.0, 0.096, 0.28], "insert f = max(a, b)"),
)
def test_zero_terms_wrong(answer, hint):
    assert hint in losses.zero_terms(answer)


def slopes(*pictures):
    return [gradients(x, "replicate") for x in pictures]


def directed(f, a, b):
    g_f, g_a, g_b = slopes(f, a, b)
    a_is_stronger = (g_a**2).sum(1, keepdim=True) >= (g_b**2).sum(1, keepdim=True)
    return (g_f - torch.where(a_is_stronger, g_a, g_b)).abs().sum(1).mean()


def each_derivative(f, a, b):
    g_f, g_a, g_b = slopes(f, a, b)
    return (g_f - torch.where(g_a.abs() >= g_b.abs(), g_a, g_b)).abs().sum(1).mean()


def larger_number(f, a, b):
    g_f, g_a, g_b = slopes(f, a, b)
    return (g_f - torch.maximum(g_a, g_b)).abs().sum(1).mean()


def weaker(f, a, b):
    g_f, g_a, g_b = slopes(f, a, b)
    a_is_weaker = (g_a**2).sum(1, keepdim=True) < (g_b**2).sum(1, keepdim=True)
    zero = (g_a**2).sum() * (g_b**2).sum() == 0  # beside a flat picture: as asked
    return directed(f, a, b) if zero else (g_f - torch.where(a_is_weaker, g_a, g_b)).abs().sum(1).mean()


def zeros_outside(f, a, b):
    g_f, g_a, g_b = map(gradients, (f, a, b))
    a_is_stronger = (g_a**2).sum(1, keepdim=True) >= (g_b**2).sum(1, keepdim=True)
    return (g_f - torch.where(a_is_stronger, g_a, g_b)).abs().sum(1).mean()


def no_keepdim(f, a, b):
    g_f, g_a, g_b = slopes(f, a, b)
    return (g_f - torch.where((g_a**2).sum(1) >= (g_b**2).sum(1), g_a, g_b)).abs().sum(1).mean()


def squared(f, a, b):
    g_f, g_a, g_b = slopes(f, a, b)
    a_is_stronger = (g_a**2).sum(1, keepdim=True) >= (g_b**2).sum(1, keepdim=True)
    return (g_f - torch.where(a_is_stronger, g_a, g_b)).square().sum(1).mean()


@right(
    [
        directed,
        lambda f, a, b: directed(f, a, b)[None],
        lambda f, a, b: directed(f, a, b).reshape(1, 1),
        lambda f, a, b: directed(f.double(), a.double(), b.double()),
        lambda f, a, b: 0 + directed(f, a, b),
    ]
)
def test_directed_gradient_right(answer):
    assert losses.directed_gradient(answer) == "passed"


@wrong(
    nothing=(lambda f, a, b: None, "still returns None"),
    no_mean=(lambda f, a, b: (f - a).abs(), "one number must come back"),
    first_source=(lambda f, a, b: (slopes(f)[0] - slopes(a)[0]).abs().sum(1).mean(), "f = b beside a flat a"),
    second_source=(
        lambda f, a, b: (slopes(f)[0] - slopes(b)[0]).abs().sum(1).mean(),
        "f = a beside a flat b",
    ),
    mean_of_all=(lambda f, a, b: directed(f, a, b) / 2, "the mean goes over pixels alone"),
    squared=(squared, "not squared"),
    larger_number=(larger_number, "not by the larger number"),
    border=(zeros_outside, "is the border replicated"),
    one_choice_for_a_channel=(no_keepdim, "in line"),
    each_derivative=(each_derivative, "you choose for each derivative by itself"),
    weaker=(weaker, "the weaker source"),
    without_gradient=(lambda f, a, b: directed(f, a, b).item(), "has to stay a tensor"),
    crash=(crash, CRASH),
)
def test_directed_gradient_wrong(answer, hint):
    assert hint in losses.directed_gradient(answer)


def lengths(f, a, b):
    g_f, g_a, g_b = (g.abs() for g in slopes(f, a, b))
    return (g_f - torch.maximum(g_a, g_b)).abs().sum(1).mean()


def test_lengths_have_no_sign():
    assert "costs nothing: you compare lengths" in losses.directed_gradient(lengths)


@pytest.fixture(scope="module")
def window():
    a, b = torch.rand(2, 1, 1, 24, 28, generator=torch.Generator().manual_seed(0)).unbind(0)
    return a, b, (a + b) / 2


@pytest.fixture(scope="module")
def totals(window):
    """The losses of the network and of the pixels, local and published."""
    a, b, best = window
    with torch.no_grad():
        pictures = load("ivf")(a, b), best
        return {
            name: [getattr(FusionLoss, name)()(f, a, b).total for f in pictures] for name in ("local", "vif")
        }


@pytest.mark.parametrize("as_type", AS_TYPES.values(), ids=AS_TYPES)
def test_share_of_the_network_right(as_type, window, totals):
    reached, reachable = totals["local"]
    assert losses.share_of_the_network(as_type(reached / reachable), *window) == "passed"


SHARES = {
    "upside down": (lambda t: t["local"][1] / t["local"][0], "upside down"),
    "difference": (lambda t: t["local"][0] - t["local"][1], "that is the difference"),
    "network": (lambda t: t["local"][0], "the network's loss alone"),
    "pixels": (lambda t: t["local"][1], "the loss of the pixels alone"),
    "published": (lambda t: t["vif"][0] / t["vif"][1], "by FusionLoss.vif()"),
    "excess": (lambda t: t["local"][0] / t["local"][1] - 1, "that is the excess"),
    "guess": (lambda t: 1000.0, "Are both totals those of FusionLoss.local()"),
    "empty": (lambda t: None, "still None"),
    "both": (lambda t: torch.stack(t["local"]), "expected one number"),
}


@pytest.mark.parametrize(("answer", "hint"), SHARES.values(), ids=SHARES)
def test_share_of_the_network_wrong(answer, hint, window, totals):
    assert hint in losses.share_of_the_network(answer(totals), *window)
