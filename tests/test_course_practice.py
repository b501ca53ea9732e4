"""The exercises of notebooks 09 to 11: right answers pass as they are written, wrong ones get a hint."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
import torch
from course_cases import CRASH, crash, right, wrong
from scipy import stats

from mambadfuse import metrics
from mambadfuse.ablation import read_table, row_config
from mambadfuse.course import ablation_lab as lab
from mambadfuse.course import fuse_and_evaluate as evaluate
from mambadfuse.course import training
from mambadfuse.evaluation.published import published
from mambadfuse.fusion.tiling import TiledModel
from mambadfuse.losses import FusionLoss
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.training import TrainingConfig

# ---------------------------------------------------------------------------------------------- 09, training

RESUMES = {
    "steps": False,
    "seed": False,
    "workers": True,
    "learning_rate": False,
    "keep_checkpoints": True,
    "validate_every": True,
}


def test_which_settings_belong_to_the_identity_of_a_run():
    config = TrainingConfig(steps=12, warmup=4)
    same = {
        name: replace(config, **{name: getattr(config, name) + 1}).identity() == config.identity()
        for name in RESUMES
    }
    assert training.resumed_run(same) == "passed"


@right(
    [
        RESUMES,
        dict(reversed(RESUMES.items())),
        {name.replace("_", " ").title(): str(value) for name, value in RESUMES.items()},
        list(RESUMES.values()),
        np.array(list(RESUMES.values())),
        torch.tensor(list(RESUMES.values())),
    ]
)
def test_resumed_run_right(answer):
    assert training.resumed_run(answer) == "passed"


@wrong(
    everything_resumes=([True] * 6, "steps: the cosine of the learning rate"),
    nothing_resumes=([False] * 6, "workers: a crop depends on"),
    more_steps=(RESUMES | {"steps": True}, "5 of 6 are right; steps"),
    another_seed=(RESUMES | {"seed": True}, "the seed draws weights and crops"),
    another_rate=(RESUMES | {"learning_rate": True}, "would the steps so far"),
    files_matter=(RESUMES | {"keep_checkpoints": False}, "number of files that are kept"),
    a_look_matters=(RESUMES | {"validate_every": False}, "a look at the validation pairs"),
    unanswered=(dict.fromkeys(RESUMES), "still without an answer: steps"),
)
def test_resumed_run_wrong(answer, hint):
    assert hint in training.resumed_run(answer)


def gradient(total, net):
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, list(net.parameters()))])


def part_by_part(net, loss, a, b, parts, scale=1.0):
    total = 0
    for x, y in zip(a.chunk(parts), b.chunk(parts), strict=True):
        total = total + scale * gradient(loss(net(x, y), x, y).total, net) / parts
    return total


def by_backward(net, loss, a, b, parts):
    net.zero_grad()
    for x, y in zip(a.chunk(parts), b.chunk(parts), strict=True):
        (loss(net(x, y), x, y).total / parts).backward()
    return torch.cat([p.grad.flatten() for p in net.parameters()])


def as_a_list(net, loss, a, b, parts):
    flat = part_by_part(net, loss, a, b, parts)
    sizes = [p.numel() for p in net.parameters()]
    return [g.view(p.shape) for g, p in zip(flat.split(sizes), net.parameters(), strict=True)]


def with_names_that_stay(net, loss, a, b, parts):
    """The last part's picture and loss are still named while the next part enters; what they were made of is gone."""
    total = 0
    for k in range(parts):
        x, y = a[k : k + 1], b[k : k + 1]
        fused = net(x, y)
        value = loss(fused, x, y).total
        total = total + gradient(value, net)
    return total / parts


def whole_batch(net, loss, a, b, parts):
    return gradient(loss(net(a, b), a, b).total, net)


def pictures_first(net, loss, a, b, parts):
    pairs = list(zip(a.chunk(parts), b.chunk(parts), strict=True))
    fused = [net(x, y) for x, y in pairs]
    return sum(gradient(loss(f, x, y).total, net) for f, (x, y) in zip(fused, pairs, strict=True)) / parts


def losses_first(net, loss, a, b, parts):
    pairs = zip(a.chunk(parts), b.chunk(parts), strict=True)
    return gradient(sum(loss(net(x, y), x, y).total for x, y in pairs) / parts, net)


def graph_kept(net, loss, a, b, parts):
    total, kept = 0, []
    for x, y in zip(a.chunk(parts), b.chunk(parts), strict=True):
        kept.append(loss(net(x, y), x, y).total)
        slopes = torch.autograd.grad(kept[-1], list(net.parameters()), retain_graph=True)
        total = total + torch.cat([g.flatten() for g in slopes]) / parts
    return total


def total_forgotten(net, loss, a, b, parts):
    pairs = zip(a.chunk(parts), b.chunk(parts), strict=True)
    return sum(gradient(loss(net(x, y), x, y), net) for x, y in pairs) / parts


def two_at_a_time(net, loss, a, b, parts):
    return part_by_part(net, loss, a, b, parts // 2)


def last_part(net, loss, a, b, parts):
    for x, y in zip(a.chunk(parts), b.chunk(parts), strict=True):
        g = gradient(loss(net(x, y), x, y).total, net)
    return g


def first_part(net, loss, a, b, parts):
    x, y = a.chunk(parts)[0], b.chunk(parts)[0]
    return gradient(loss(net(x, y), x, y).total, net) / parts


def mismatched(net, loss, a, b, parts):
    return part_by_part(net, loss, a, b.flip(0), parts)


@right(
    [
        part_by_part,
        by_backward,
        as_a_list,
        with_names_that_stay,
        lambda *given: part_by_part(*given).numpy(),
        lambda *given: tuple(as_a_list(*given)),
    ]
)
def test_gradient_in_parts_right(answer):
    assert training.gradient_in_parts(answer) == "passed"


@wrong(
    nothing=(lambda *given: None, "still returns None"),
    sum=(lambda *given: part_by_part(*given, scale=4), "4 times too long"),
    divided_twice=(lambda *given: part_by_part(*given, scale=1 / 4), "you divide twice"),
    total_forgotten=(total_forgotten, "you want .total alone"),
    last_part=(last_part, "the last part alone"),
    first_part=(first_part, "the first part alone"),
    zero=(lambda *given: part_by_part(*given, scale=0), "zero everywhere"),
    mismatched=(mismatched, "does each part of a meet the same part of b"),
    loss_alone=(lambda net, loss, a, b, parts: loss(net(a, b), a, b).total, "one for each weight, found 1"),
    text=(lambda *given: "gradient", "as a tensor, found str"),
    dots=(lambda *given: ..., "your function still returns ..."),
    crash=(crash, CRASH),
)
def test_gradient_in_parts_wrong(answer, hint):
    assert hint in training.gradient_in_parts(answer)


@wrong(
    whole_batch=(whole_batch, "4 of 4 crops were in the network at once"),
    two_at_a_time=(two_at_a_time, "2 of 4 crops were in the network at once"),
    pictures_first=(pictures_first, "of 4 parts was in memory at once"),
    losses_first=(losses_first, "of 4 parts was in memory at once"),
    graph_kept=(graph_kept, "of 4 parts was in memory at once"),
)
def test_the_right_gradient_with_too_much_memory(answer, hint):
    verdict = training.gradient_in_parts(answer)
    assert verdict.startswith("not yet: the right gradient, but")
    assert hint in verdict


DECAYS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)


@pytest.fixture(scope="module")
def filmed():
    """A film of trembling weights, the network that takes them, and a batch."""
    torch.manual_seed(0)
    net, good = MambaDFuse(training.TINY), MambaDFuse(training.TINY).state_dict()
    a, b = torch.rand(2, 2, 1, 12, 12).unbind(0)
    film = [
        {name: w * (1 + 3 * 0.7**step) + 0.3 * torch.randn_like(w) for name, w in good.items()}
        for step in range(40)
    ]
    return film, net, a, b


@pytest.fixture(scope="module")
def judged(filmed):
    """The decays, that of the lowest loss first."""
    film, net, a, b = filmed
    losses = {}
    for d in DECAYS:
        average, ends = film[0], []
        for step, w in enumerate(film, start=1):
            average = {name: d * average[name] + (1 - d) * w[name] for name in w}
            if step in (10, 20, 30, 40):
                net.load_state_dict(average)
                with torch.no_grad():
                    ends.append(float(FusionLoss.vif()(net(a, b), a, b).total))
        losses[d] = sum(ends)
    return sorted(losses, key=losses.get)


@pytest.mark.parametrize("as_type", [float, str, np.float32, np.array, torch.tensor], ids=range(5))
def test_best_decay_right(as_type, filmed, judged):
    assert training.best_decay(as_type(judged[0]), DECAYS, *filmed) == "passed"


@wrong(
    empty=(None, "best_decay is still None"),
    dots=(..., "best_decay is still ..."),
    in_between=(0.7, "expected one of 0, 0.5, 0.8, 0.9, 0.95, 0.99, found 0.7"),
    percent=(90, "expected one of"),
    all_of_them=(list(DECAYS), "expected a number"),
    word=("the last", "expected a number, found 'the last'"),
)
def test_best_decay_wrong(answer, hint, filmed):
    assert hint in training.best_decay(answer, DECAYS, *filmed)


def test_every_other_decay_is_told_how_many_are_lower(filmed, judged):
    for place, d in enumerate(judged):
        verdict = training.best_decay(d, DECAYS, *filmed)
        others = "1 of the others is" if place == 1 else f"{place} of the others are"
        assert place == 0 or f"and {others} lower" in verdict
        if place and d in (0.0, 0.99):
            assert {0.0: "one step at a time", 0.99: "still remembers the first"}[d] in verdict


# -------------------------------------------------------------------------------------- 10, fuse and evaluate

TILES = {(512, 512): 1, (513, 513): 4, (1000, 700): 6}


def test_how_many_tiles_the_package_cuts():
    class Counted(torch.nn.Module):
        calls = 0

        def forward(self, a, b):
            self.calls += 1
            return a

    counts = {}
    for size in TILES:
        network = Counted()
        TiledModel(network, 512, 64)(torch.zeros(1, 1, *size), torch.zeros(1, 1, *size))
        counts[size] = network.calls
    assert evaluate.tiles_counted(counts) == "passed"


@right(
    [
        TILES,
        dict(reversed(TILES.items())),
        {"1000 x 700": "6", "512x512": 1.0, "513 X 513": np.int64(4)},
        [1, 4, 6],
        torch.tensor([1, 4, 6]),
    ]
)
def test_tiles_counted_right(answer):
    assert evaluate.tiles_counted(answer) == "passed"


@wrong(
    always_overlapping=(TILES | {(512, 512): 4}, "it fits into one tile"),
    one_pixel_ignored=(TILES | {(513, 513): 1}, "a tile ends after 512 pixels"),
    one_axis=(TILES | {(513, 513): 2}, "that is along one axis"),
    not_moved_back=(TILES | {(513, 513): 9}, "the last is moved back"),
    overlap_ignored=(TILES | {(1000, 700): 4}, "together they cover 960"),
    added=(TILES | {(1000, 700): 5}, "multiplied, not added"),
    three_times_three=(TILES | {(1000, 700): 9}, "where must the last tile start"),
    unanswered=(dict.fromkeys(TILES), "without an answer: 512 x 512"),
)
def test_tiles_counted_wrong(answer, hint):
    assert hint in evaluate.tiles_counted(answer)


def all_signs(d):
    return np.array(list(product((1, -1), repeat=len(d)))) @ d


def p_value(d):
    return float((np.abs(all_signs(d)) >= abs(d.sum()) - 1e-12).mean())


def p_by_loop(d):
    far = 0
    for signs in product((1, -1), repeat=len(d)):
        far += abs(sum(s * x for s, x in zip(signs, d, strict=True))) >= abs(sum(d)) * (1 - 1e-9)
    return far / 2 ** len(d)


@right(
    [
        p_value,
        p_by_loop,
        lambda d: np.array([p_value(d)]),
        lambda d: torch.tensor(p_value(d)),
        lambda d: np.float32(p_value(d)),
    ]
)
def test_exact_test_of_signs_right(answer):
    assert evaluate.exact_test_of_signs(answer) == "passed"


@wrong(
    nothing=(lambda d: None, "still returns None"),
    constant=(lambda d: 0.05, "in how many of the 256 ways"),
    all_ways=(all_signs, "expected one share, found 256 numbers"),
    counted=(lambda d: p_value(d) * 2 ** len(d), "divide by all 256"),
    one_side=(lambda d: (all_signs(d) >= d.sum() - 1e-12).mean(), "one side alone"),
    ties_lost=(lambda d: (abs(all_signs(d)) > abs(d.sum()) + 1e-12).mean(), "'>=' rather than '>'"),
    rounding=(lambda d: (abs(all_signs(d)) >= abs(d.sum())).mean(), "allow for"),
    ranks=(
        lambda d: stats.wilcoxon(d, method="exact").pvalue if len(d) == 4 else p_value(d),
        "you add ranks",
    ),
    nearer=(lambda d: 1 - p_value(d), "nearer to 0"),
    signs_alone=(lambda d: stats.binomtest(int((d > 0).sum()), len(d)).pvalue, "you count signs"),
    dots=(lambda d: ..., "your function still returns ..."),
    crash=(crash, CRASH),
)
def test_exact_test_of_signs_wrong(answer, hint):
    assert hint in evaluate.exact_test_of_signs(answer)


@right(
    [
        ("MI", "VIF", "Qabf"),
        ["Qabf", "MI", "VIF"],
        "mi, vif, qabf",
        {"MI", "VIF", "QABF"},
        np.array(["VIF", "MI", "Qabf"]),
    ]
)
def test_another_winner_right(answer):
    assert evaluate.another_winner(answer) == "passed: PIAFusion is first"


@wrong(
    as_given=(("EN", "SD", "SF"), "first is CDDFuse"),
    all_eight=(metrics.EIGHT, "first is CDDFuse"),
    too_few=(("MI", "VIF"), "at least three different ones"),
    one_three_times=(("MI", "MI", "mi"), "at least three different ones"),
    unknown=(("MI", "VIF", "PSNR"), "nothing is called 'PSNR'"),
    number=(3, "expected some of EN"),
)
def test_another_winner_wrong(answer, hint):
    assert hint in evaluate.another_winner(answer)


def test_a_shared_first_place_does_not_count():
    means = {row.method: row.means for row in published("TNO-25").rows}

    def mean_ranks(scores):
        return sorted(sum(sum(o[s] > m[s] for o in means.values()) for s in scores) for m in means.values())

    shared = next(c for c in combinations(metrics.EIGHT, 3) if len(set(mean_ranks(c)[:2])) == 1)
    assert "nobody is first alone" in evaluate.another_winner(shared)


# ------------------------------------------------------------------------------------------ 11, ablation lab

CHANCE = {"pictures, one row": 6, "pictures, 26 rows": 11, "of 26 empty rows": 1.3}


def test_what_chance_does():
    pictures = [next(n for n in range(99) if rows * 2 / 2**n < 0.05) for rows in (1, 26)]
    assert lab.chance([*pictures, 26 * 0.05]) == "passed"


@right(
    [
        CHANCE,
        dict(reversed(CHANCE.items())),
        [np.int64(6), np.int32(11), np.float32(1.3)],
        torch.tensor([6, 11, 1.3]),
        {"Pictures one row": "6", "pictures 26 rows": 11.0, "of 26 empty rows": "1.30"},
    ]
)
def test_chance_right(answer):
    assert lab.chance(answer) == "passed"


@wrong(
    one_too_few=(CHANCE | {"pictures, one row": 5}, "2 / 2^5 = 0.0625"),
    one_over_n=(CHANCE | {"pictures, one row": 20}, "not 1 / n"),
    holm_forgotten=(CHANCE | {"pictures, 26 rows": 6}, "Holm multiplies"),
    one_too_many=(CHANCE | {"pictures, 26 rows": 12}, "when does 26 * 2 / 2^n fall below"),
    holm_just_not=(CHANCE | {"pictures, 26 rows": 10}, "26 * 2 / 2^10"),
    pictures_multiplied=(CHANCE | {"pictures, 26 rows": 156}, "the p value is multiplied"),
    no_false_alarm=(CHANCE | {"of 26 empty rows": 0}, "chance strikes"),
    one_row=(CHANCE | {"of 26 empty rows": 0.05}, "that is one row"),
    rounded=(CHANCE | {"of 26 empty rows": 1}, "with a probability of 0.05"),
)
def test_chance_wrong(answer, hint):
    assert hint in lab.chance(answer)


def divisions(x, y, mean=np.mean):
    """The differences between the two groups, over all divisions of the numbers; the observed one first."""
    z = np.concatenate([x, y])
    chosen = [list(c) for c in combinations(range(len(z)), len(x))]
    return np.array([mean(z[c]) - mean(np.delete(z, c)) for c in chosen])


def exact_p(x, y):
    d = divisions(x, y)
    return float((abs(d) >= abs(d[0]) - 1e-12).mean())


def by_halves(x, y):
    z, n = np.concatenate([x, y]), (len(x) + len(y)) // 2
    apart = [z[list(c)].mean() - np.delete(z, c).mean() for c in combinations(range(len(z)), n)]
    return float((np.abs(apart) >= abs(x.mean() - y.mean()) - 1e-12).mean())


def by_signs(x, y):
    d = (x - y) if len(x) == len(y) else np.zeros(1)
    apart = [np.mean(d * signs) for signs in product((1, -1), repeat=len(d))]
    return float((np.abs(apart) >= abs(d.mean()) - 1e-12).mean())


def by_sums(x, y):
    d = divisions(x, y, np.sum)
    return (abs(d) >= abs(d[0]) - 1e-12).mean()


@right(
    [
        exact_p,
        lambda x, y: np.array([exact_p(x, y)]),
        lambda x, y: torch.tensor(exact_p(x, y)),
        lambda x, y: np.float32(exact_p(x, y)),
        lambda x, y: exact_p(y, x),
    ]
)
def test_exact_test_over_seeds_right(answer):
    assert lab.exact_test_over_seeds(answer) == "passed"


@wrong(
    nothing=(lambda x, y: None, "still returns None"),
    constant=(lambda x, y: 0.04, "in how many of the 20 divisions"),
    all_divisions=(divisions, "expected one share, found 20 numbers"),
    counted=(lambda x, y: exact_p(x, y) * len(divisions(x, y)), "divide by all 20"),
    one_side=(lambda x, y: (divisions(x, y) >= divisions(x, y)[0] - 1e-12).mean(), "one side alone"),
    ties_lost=(
        lambda x, y: (abs(divisions(x, y)) > abs(divisions(x, y)[0]) + 1e-12).mean(),
        "'>=' rather than '>'",
    ),
    sums=(by_sums, "groups of different sizes need means"),
    halves=(by_halves, "groups are as large as x and y, 4 and 2"),
    signs=(by_signs, "you change signs of pairs"),
    nearer=(lambda x, y: 1 - exact_p(x, y), "nearer to each other"),
    crash=(crash, CRASH),
)
def test_exact_test_over_seeds_wrong(answer, hint):
    assert hint in lab.exact_test_over_seeds(answer)


WIDTH = 'inner-width: {question: "Does a unit need its inner width?", changes: {model.expand: 1}}'


def row(question="Wider?", **changes):
    return {
        "mine": {"question": question, "changes": {name.replace("__", "."): v for name, v in changes.items()}}
    }


@right(
    [
        WIDTH,
        'default: {question: "?", changes: {}}\n' + WIDTH,
        row(model__expand=1),
        row(model__expand=np.int64(3)),
        row(model__conv_width=torch.tensor(3)),
        row(learning_rate=np.float64(0.002)),
    ]
)
def test_new_row_right(answer):
    assert lab.new_row(answer) == "passed"


DEFAULT = row_config(read_table()["default"], budget="laptop")


@wrong(
    empty=("\n", "your row is still empty"),
    no_row=("a question", "expected a name, and below it"),
    changes_nothing=(row(), "your row changes nothing"),
    value_of_the_default=(row(model__expand=DEFAULT.model.expand), "has this value already"),
    two_things=(
        row(model__expand=1, model__conv_width=3),
        "2 changes at once (model.expand, model.conv_width)",
    ),
    two_rows=(
        row(model__expand=1) | {"other": {"question": "?", "changes": {}}},
        "expected one row, found 2",
    ),
    name_in_the_table=(
        {"gate-shared": {"question": "Wider?", "changes": {"model.expand": 1}}},
        "a row called gate-shared already",
    ),
    name_in_the_shipped_table=(
        {"row-attention": {"question": "Wider?", "changes": {"model.expand": 1}}},
        "a row called row-attention already",
    ),
    in_the_table=(row(model__gate="shared"), "a row with this training already: gate-shared"),
    in_the_shipped_table=(
        row(model__mixer="benchmarks.attention:RowAttention"),
        "a row with this training already: row-attention",
    ),
    no_question=(row("Wider.", model__expand=1), "ends in a question mark"),
    unknown_setting=(row(model__width=1), "width"),
    question_missing=({"mine": {"changes": {"model.expand": 1}}}, "must have a question and changes"),
    no_yaml=("mine: {question: [", "cannot be read as YAML, see line 1"),
    no_braces=('mine:\n  question: "Wider?"\n  changes: model.expand: 1', "see line 3: a question stands in"),
    half_a_name=('mine: {question: "Wider?", changes: {expand: 1}}', "did you mean 'model.expand'?"),
)
def test_new_row_wrong(answer, hint):
    assert hint in lab.new_row(answer)
