"""A blind comparison: two fused images of the same pair, the methods hidden, and what the answers say about them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from threading import Lock

import ipywidgets as widgets
import numpy as np

from mambadfuse.analysis.comparison import Baseline, Picture
from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.images import read_image
from mambadfuse.data.pairs import Pair, PairSet
from mambadfuse.data.results import results_in
from mambadfuse.data.samples import samples
from mambadfuse.evaluation.answers import append_answer, read_answers
from mambadfuse.evaluation.methods import folders_by_name
from mambadfuse.evaluation.preference import Answer, Choice, next_comparison, preferences
from mambadfuse.evaluation.table import RESULT, Method, rank, summarise
from mambadfuse.fusion.baselines import BASELINES
from mambadfuse.fusion.pair import Model, fuse
from mambadfuse.metrics import EIGHT, evaluate
from mambadfuse.models.weights_file import shipped_names
from mambadfuse.widgets.displays import Gallery
from mambadfuse.widgets.panel import HTML, Panel, labelled, legend, row
from mambadfuse.widgets.scores import preference_table

HEIGHT = "56vh"  # of each image at most, so that both and the buttons are seen at once
NETWORK = "network"  # for the task of the pair; at full size it takes seconds
KEYS: dict[str, Choice] = {"l": "left", "c": "tie", "r": "right"}


@dataclass(frozen=True)
class Contest:
    """The images that can be compared.

    Attributes:
        pairs: the sources, by the name of the pair.
        fusions: by the name of the pair and of the method, what returns the fused image, uint8.
        slow: the methods that take seconds; a panel does not begin with them.
    """

    pairs: Mapping[str, Pair]
    fusions: Mapping[str, Mapping[str, Callable[[], Picture]]]
    slow: frozenset[str] = frozenset()


class BlindPreference(Panel):
    """Asks which of two fused images is better, and keeps every answer in a file at once.

    The two methods are hidden, and which is left is drawn by lot. Comparisons that were asked least come first. A
    panel with the same file continues where the last one stopped. While people look at two images, the next two are
    fused. Strengths and intervals are those of
    :func:`mambadfuse.evaluation.preference.preferences`.

    Args:
        fused: folders of fused images, one for each method; None for the sample pairs, fused by the networks and the
            baselines of the kit.
        a: the folder of one side, or of both, as in :func:`mambadfuse.evaluate_folders`.
        b: the folder of the other side.
        out: the file of the answers, JSON lines.
        judge: who answers; stored with every answer.
        seed: of the lot; None for another order each time.

    Raises:
        ValueError: no pair was fused by two methods; the file holds something else than answers; or there are sources
            without fused images, or the other way round.
        PairError: there are no pairs.
    """

    def __init__(
        self,
        fused: str | Path | Sequence[str | Path] | None = None,
        a: str | Path | PairSet | None = None,
        b: str | Path | None = None,
        *,
        out: str | Path = "outputs/preferences.jsonl",
        judge: str = "",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if (fused is None) is not (a is None):
            given = "sources alone" if fused is None else "fused images alone"
            raise ValueError(f"expected folders of fused images and their sources, or neither: found {given}")
        contest = sample_contest() if fused is None or a is None else folder_contest(fused, find_pairs(a, b))
        self.contest, self.out = contest, Path(out)
        self.answers = read_answers(self.out)
        self.generator = np.random.default_rng(seed)
        self.left = self._button("Left is better", "the left image is the better one", "left")
        self.tie = self._button("Cannot tell", "neither is better; half a win for each", "tie")
        self.right = self._button("Right is better", "the right image is the better one", "right")
        self.typed = widgets.Text(
            placeholder="l, c or r",
            description="or type",
            **labelled("180px", "l left, c cannot tell, r right"),
        )
        self.judge = widgets.Text(
            value=judge, description="judge", **labelled("220px", "a name that is kept with your answers")
        )
        self.sources = widgets.ToggleButton(description="Sources", tooltip="show both sources of this pair")
        self.results = widgets.ToggleButton(
            description="Results",
            tooltip="name the methods, by strength, beside their ranks in eight metrics",
        )
        self.pair = Gallery(columns=2)
        self.of_pair = self.memoised(lambda name: _source_pictures(self.contest.pairs[name]), last=16)
        self.fused_by = self.memoised(lambda name, method: self.contest.fusions[name][method](), last=16)
        # all of them: otherwise a large folder would be scored again at every answer
        self.scores_of = self.memoised(self._scores_of, last=None)
        self.gallery, self.table = Gallery(columns=2), HTML()
        quick = {name: own.keys() - contest.slow for name, own in contest.fusions.items()}
        self.question = self.upcoming = next_comparison(quick, self.answers, self.generator)
        self.ahead = ThreadPoolExecutor(1, thread_name_prefix="mambadfuse-preference")
        self.typed.observe(lambda change: self._receive(change.new), names="value")
        self.redraw_on(self.sources, self.results)
        controls = [row(self.left, self.tie, self.right, self.typed, self.judge, self.sources, self.results)]
        self.strengths = legend(
            "A lead of 1.1 in strength means: preferred three times out of four. Intervals take all answers as "
            "independent; those of a single judge are not."
        )
        displays = [self.pair, self.gallery, self.table, self.strengths]
        self.arrange("Blind preference: which fused image is better?", controls, displays)
        self._prepare()

    def draw(self) -> str:
        """Shows the present question, and sources and results where wanted; the message counts the answers."""
        name, *methods = self.question
        pictures = [self.fused_by(name, method) for method in methods]
        height, width = pictures[0].shape[:2]
        self.pair.layout.width = f"min(100%, calc(2 * {HEIGHT} * {width / height:.3f}))"
        self.pair.show(dict(zip(("left", "right"), pictures, strict=True)))
        self.gallery.layout.display = None if self.sources.value else "none"
        self.gallery.layout.width = self.pair.layout.width
        if self.sources.value:
            self.gallery.show(self.of_pair(name))
        self.table.value = self._ranked() if self.results.value else ""
        self.strengths.layout.display = None if self.results.value else "none"
        count = len(self.answers)
        return f"{name}: which is better? {count} answer{'' if count == 1 else 's'} in {self.out.name}."

    def answer(self, choice: Choice) -> str:
        """Keeps an answer to the present question, and asks the next one."""
        given = Answer(*self.question, choice, self.judge.value)
        append_answer(self.out, given)
        self.answers.append(given)
        self.question = self.upcoming
        try:
            return self.draw()
        finally:
            self._prepare()

    def close(self) -> None:
        """Fuses nothing more, then closes as every panel does."""
        self.ahead.shutdown(wait=False, cancel_futures=True)
        super().close()

    def _prepare(self) -> None:
        """Chooses the question after the present one, and fuses its images in another thread."""
        answers = [*self.answers, Answer(*self.question, "tie")]  # any choice leads to the same question
        self.upcoming = next_comparison(self.contest.fusions, answers, self.generator)
        name, *methods = self.upcoming
        for method in methods:
            self.ahead.submit(self.contest.fusions[name][method])

    def _button(self, description: str, tooltip: str, choice: Choice) -> widgets.Button:
        button = widgets.Button(description=description, tooltip=tooltip)
        button.on_click(lambda _: self.attempt(partial(self.answer, choice)))
        return button

    def _receive(self, text: str) -> None:
        if not text:
            return
        self.typed.value = ""
        choice = KEYS.get(text[-1].lower())
        if choice:
            self.attempt(lambda: self.answer(choice))
        else:
            self.tell(f"Type l for left, c for cannot tell or r for right, found {text[-1]}.")

    def _ranked(self) -> str:
        if not self.answers:
            return "<p>There are no answers yet.</p>"
        found = preferences(self.answers)
        return preference_table(found, self._ranks([standing.method for standing in found.standings]))

    def _ranks(self, methods: Iterable[str]) -> dict[str, dict[str, int]]:
        """The ranks in the eight metrics, over the pairs that all of these methods fused."""
        known = [m for m in methods if any(m in own for own in self.contest.fusions.values())]
        shared = [name for name, own in self.contest.fusions.items() if set(known) <= own.keys()]
        if not shared:
            return {}
        scored = {method: {name: self.scores_of(name, method) for name in shared} for method in known}
        rows = [Method(method, RESULT, *summarise(own, shared), own) for method, own in scored.items()]
        return rank(rows, EIGHT, shared, "literature").ranks

    def _scores_of(self, name: str, method: str) -> dict[str, float]:
        return evaluate(self.fused_by(name, method), *self.of_pair(name).values(), metrics=EIGHT)


def sample_contest() -> Contest:
    """The sample pairs, each fused by the baselines, by the network for its task, and by its faster relatives."""
    pairs = {pair.name: pair for pair in samples()}
    fusions = {name: _sample_fusions(pair) for name, pair in pairs.items()}
    return Contest(pairs, fusions, frozenset({NETWORK}))


def folder_contest(fused: str | Path | Sequence[str | Path], pairs: PairSet) -> Contest:
    """Folders of fused images, one for each method; a pair that a method did not fuse is not asked about for it.

    Raises:
        PairError: a folder has no image in common with the pairs.
    """
    fusions: dict[str, dict[str, Callable[[], Picture]]] = {pair.name: {} for pair in pairs.pairs}
    for method, folder in folders_by_name(fused).items():
        for name, path in results_in(folder, pairs.pairs).items():
            fusions[name][method] = partial(_read, path)
    return Contest({pair.name: pair for pair in pairs.pairs}, fusions)


def _sample_fusions(pair: Pair) -> dict[str, Callable[[], Picture]]:
    models: dict[str, Model] = {name: Baseline(rule) for name, rule in BASELINES.items()}
    if pair.task:
        models |= {NETWORK: pair.task}
        models |= {name: name for name in shipped_names() if name.startswith(f"{pair.task}-")}
    return {name: _once(partial(_fused, pair, model)) for name, model in models.items()}


def _once(function: Callable[[], Picture]) -> Callable[[], Picture]:
    """The function, computed once; a thread that wants its result meanwhile waits for it."""
    cached, lock = cache(function), Lock()

    def locked() -> Picture:
        with lock:
            return cached()

    return locked


def _fused(pair: Pair, model: Model) -> Picture:
    return np.asarray(fuse(pair.a, pair.b, model))


def _read(path: Path) -> Picture:
    return np.rint(255 * read_image(path)).astype(np.uint8)


def _source_pictures(pair: Pair) -> dict[str, Picture]:
    return {f"source {side}": _read(path) for side, path in (("a", pair.a), ("b", pair.b))}
