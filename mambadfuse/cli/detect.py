"""``mambadfuse detect``: what fusion is worth to a detector of objects."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mambadfuse.cli.arguments import check_outputs, device, positive
from mambadfuse.cli.messages import say, write
from mambadfuse.cli.pairs import add_folders, pairs_of
from mambadfuse.cli.reading import add_reading, reading_arguments

if TYPE_CHECKING:
    from mambadfuse.detection.boxes import Flags
    from mambadfuse.detection.dataset import DetectionSet
    from mambadfuse.detection.own_pairs import LabelledPairs

    Sets = Mapping[str, DetectionSet]

SUMMARY = "train and evaluate a detector of objects on each side, on fused images and on both sides"
_INPUT = "a, b, mean, maximum, pyramid, both for two channels, or a folder of fused images"
_OF_PAIRS = (
    *("a", "b", "pairs_file", "classes", "split", "test_split", "fused", "size"),
    *("stretch", "stretch_b", "stretch_each", "resize"),
)
_OF_SCENES: dict[str, Any] = {
    "model": ["ivf", "ivf-fast"],
    "scenes": 400,
    "test_scenes": 200,
    "difficulty": 0.5,
}
"""Options of ``matrix`` that are for scenes only, and their defaults."""


def add_options(parser: ArgumentParser) -> None:
    """Declares the four actions and their options."""
    actions = parser.add_subparsers(required=True, metavar="action")

    action = actions.add_parser("train", help="train a detector; the same command resumes a stopped run")
    _add_labelled_pairs(action)
    action.add_argument("--input", required=True, metavar="INPUT", help=_INPUT)
    action.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="detector to write, .safetensors"
    )
    action.add_argument("--size", type=_size, metavar="WxH", help="resize all images, to multiples of 8")
    _add_training(action, steps=2000)
    action.add_argument("--seed", type=_count, default=0, metavar="N", help="of the training; default 0")
    action.set_defaults(act=_train)

    action = actions.add_parser("evaluate", help="average precision of a detector, or of detections in files")
    _add_labelled_pairs(action)
    what = action.add_mutually_exclusive_group(required=True)
    what.add_argument("--weights", type=Path, metavar="FILE", help="detector that detect train wrote")
    what.add_argument(
        "--detections",
        type=Path,
        metavar="PATH",
        help="of any detector: COCO results, .json, or a folder of YOLO files with confidences",
    )
    action.add_argument("--input", metavar="INPUT", help=f"{_INPUT}; default the one it was trained on")
    action.add_argument("--json", type=Path, metavar="FILE", help="write the scores")
    action.add_argument("--device", type=device, default="cpu", metavar="DEVICE", help="default cpu")
    action.set_defaults(act=_evaluate)

    action = actions.add_parser(
        "matrix",
        help="train on every input, test on every input, of made-up scenes or your pairs; repeat to resume",
    )
    _add_labelled_pairs(action, required=False)
    action.add_argument(
        "--test-split", type=Path, metavar="FILE", help="the pairs to test on, beside --split"
    )
    action.add_argument(
        "--fused",
        type=_named_folder,
        nargs="+",
        default=[],
        metavar="NAME=DIR",
        help="more inputs: fused images",
    )
    action.add_argument("--size", type=_size, metavar="WxH", help="resize all images, to multiples of 8")
    action.add_argument(
        "--out", type=Path, default=Path("outputs/detection"), metavar="DIR", help="default %(default)s"
    )
    action.add_argument(
        "--model",
        nargs="+",
        metavar="NAME|FILE",
        help="weights that fuse the scenes, each an input with the name of the weights; default ivf ivf-fast",
    )
    action.add_argument(
        "--seeds", type=_positive_count, default=3, metavar="N", help="training runs of each input; default 3"
    )
    action.add_argument("--scenes", type=_positive_count, metavar="N", help="to train on; default 400")
    action.add_argument("--test-scenes", type=_positive_count, metavar="N", help="default 200")
    action.add_argument("--difficulty", type=float, metavar="X", help="of the scenes, 0 to 1; default 0.5")
    _add_training(action, steps=400)
    action.set_defaults(act=_matrix)

    action = actions.add_parser("report", help="tables and verdict of a matrix")
    action.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="results.jsonl of a matrix; default that of the kit",
    )
    action.set_defaults(act=_report)


def run(options: Namespace) -> int:
    """Runs the chosen action."""
    return options.act(options)


def _add_labelled_pairs(parser: ArgumentParser, required: bool = True) -> None:
    add_folders(parser)
    add_reading(parser)
    parser.add_argument(
        "--boxes",
        type=Path,
        required=required,
        metavar="PATH",
        help="objects of all pairs: a folder of YOLO files, or a COCO file, .json",
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="of YOLO boxes; default classes.txt beside them"
    )
    parser.add_argument("--split", type=Path, metavar="FILE", help="only the pairs that it names, one a line")


def _add_training(parser: ArgumentParser, steps: int) -> None:
    parser.add_argument(
        "--steps", type=_positive_count, default=steps, metavar="N", help="of training; default %(default)s"
    )
    parser.add_argument(
        "--batch", type=_positive_count, default=16, metavar="N", help="images a step; default 16"
    )
    parser.add_argument(
        "--learning-rate", type=positive, default=4e-3, metavar="X", help="the highest one; default 0.004"
    )
    parser.add_argument("--device", type=device, default="cpu", metavar="DEVICE", help="default cpu")


def _train(options: Namespace) -> int:
    from mambadfuse.detection.training import DetectorConfig
    from mambadfuse.detection.training_run import trained_detector
    from mambadfuse.fusion.pair import usable_device

    if options.out.suffix != ".safetensors":
        options.usage_error(f"--out must be the name of a .safetensors file, found {options.out}")
    device = usable_device(options.device)
    labelled = _labelled_pairs(options, options.split, results=[options.out], read=[options.input])
    images = labelled.as_input(options.input, options.size)
    config = DetectorConfig(options.steps, options.batch, options.learning_rate, seed=options.seed)
    progress = sys.stderr.isatty()
    trained_detector(images, config, options.out, options.input, device, progress)
    say(f"wrote {options.out}")
    return 0


def _evaluate(options: Namespace) -> int:
    from mambadfuse.detection.box_files import read_detections
    from mambadfuse.detection.detector_file import load_detector
    from mambadfuse.detection.evaluation import detect, detection_scores
    from mambadfuse.evaluation.table import json_text
    from mambadfuse.fusion.pair import usable_device

    device = usable_device(options.device)
    labelled = _labelled_pairs(
        options, options.split, reports=[options.json], read=[options.input, options.detections]
    )
    if options.detections:
        if options.input:
            options.usage_error("--input is that of a detector: give it with --weights")
        found = read_detections(options.detections, options.boxes, labelled.image_infos, labelled.classes)
        scores = detection_scores(found, labelled.objects, labelled.classes)
    else:
        network, own = load_detector(options.weights)
        if own.classes != labelled.classes:
            raise ValueError(
                f"{options.weights}: finds {', '.join(own.classes)}, the boxes are of {', '.join(labelled.classes)}"
            )
        images = labelled.as_input(options.input or own.source, own.size)
        if (channels := images.pixels.shape[1]) != network.channels:
            raise ValueError(
                f"{options.weights}: reads {network.channels} channels, the input has {channels}"
            )
        scores = detection_scores(detect(network.to(device), images.pixels), images.objects, images.classes)
    for name, score in scores.items():
        say(f"{name:<24}{100 * score:6.1f}")
    if options.json:
        write(options.json, json_text(scores).encode())
    return 0


def _matrix(options: Namespace) -> int:
    from mambadfuse.detection.matrix import run_matrix
    from mambadfuse.detection.report import report
    from mambadfuse.detection.training import DetectorConfig
    from mambadfuse.fusion.pair import usable_device

    device = usable_device(options.device)
    config = DetectorConfig(options.steps, options.batch, options.learning_rate)
    training, test, groups = _own_sets(options) if options.boxes else _scene_sets(options)
    results = run_matrix(
        training,
        test,
        config,
        range(options.seeds),
        options.out,
        groups=groups,
        device=device,
        progress=sys.stderr.isatty(),
    )
    say(report(results))
    return 0


def _scene_sets(options: Namespace) -> "tuple[Sets, Sets, Mapping[str, Sequence[Flags]]]":
    """Made-up scenes to train on and to test on, by input, and the objects of the latter by visibility."""
    from mambadfuse.detection.scenes import SceneSeries, fused_scenes, scene_sets, visibility_groups
    from mambadfuse.fusion.pair import load_model

    of_pairs = [name for name in _OF_PAIRS if getattr(options, name)] + ["alpha"] * (options.alpha != "black")
    if of_pairs:
        options.usage_error(f"{_flag(of_pairs[0])} is for pairs of your own: they need --boxes")
    given = {name: getattr(options, name) for name in _OF_SCENES}
    models, *counts, difficulty = (_OF_SCENES[name] if x is None else x for name, x in given.items())
    names = [Path(model).stem for model in models]
    _require_new_names(options, names, "an input has the name of its weights, rename a file")
    check_outputs(options, results=[options.out], sources=models)
    for model in models:
        load_model(model)  # before anything is fused by the others
    progress = sys.stderr.isatty()
    series = [SceneSeries(seed, count, difficulty=difficulty).scenes() for seed, count in enumerate(counts)]
    training, test = (
        scene_sets(
            scenes,
            {
                name: fused_scenes(scenes, model, options.out / "fused", progress)
                for name, model in zip(names, models, strict=True)
            },
        )
        for scenes in series
    )
    return training, test, visibility_groups(series[1])


def _own_sets(options: Namespace) -> "tuple[Sets, Sets, None]":
    """The pairs of the two splits, by input."""
    from mambadfuse.detection.inputs import INPUTS

    if not (options.split and options.test_split):
        options.usage_error("give --split and --test-split, the pairs to train on and those to test on")
    for name in _OF_SCENES:
        if getattr(options, name) is not None:
            options.usage_error(
                f"{_flag(name)} is for made-up scenes: leave it out, and name images that are fused already by --fused"
            )
    _require_new_names(options, [name for name, _ in options.fused], "choose another name")
    inputs: dict[str, str | Path] = {**{name: name for name in INPUTS}, **dict(options.fused)}
    fused = [folder for _, folder in options.fused]
    sides = [
        _labelled_pairs(options, split, results=[options.out], read=fused)
        for split in (options.split, options.test_split)
    ]
    names, test_names = ({pair.name for pair in side.pairs.pairs} for side in sides)
    if both := names & test_names:
        raise ValueError(
            f"{options.test_split}: names {min(both)}, as does {options.split}: "
            "a detector is not tested on what it was trained on"
        )
    training, test = (
        {name: side.as_input(source, options.size) for name, source in inputs.items()} for side in sides
    )
    return training, test, None


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _require_new_names(options: Namespace, names: Sequence[str], remedy: str) -> None:
    """Stops with a usage error if an input would take the place of another one."""
    from mambadfuse.detection.inputs import INPUTS

    for number, name in enumerate(names):
        if name in INPUTS or name in names[:number]:
            options.usage_error(f"two inputs would be called {name}: {remedy}")


def _report(options: Namespace) -> int:
    from mambadfuse.detection.matrix import SHIPPED_RESULTS, read_results
    from mambadfuse.detection.report import report

    say(report(read_results(options.file or SHIPPED_RESULTS)))
    return 0


def _labelled_pairs(
    options: Namespace,
    split: Path | None,
    *,
    results: Sequence[Path] = (),
    reports: Sequence[Path | None] = (),
    read: Sequence[str | Path | None] = (),
) -> "LabelledPairs":
    """The pairs of a split with their objects, if no result or report would replace a source.

    Args:
        options: of the command.
        split: the file that names the pairs; None for all.
        results: as in :func:`~mambadfuse.cli.arguments.check_outputs`.
        reports: as there.
        read: more sources, files or folders; names of inputs are none.
    """
    from mambadfuse.detection.inputs import INPUTS
    from mambadfuse.detection.own_pairs import LabelledPairs

    if options.classes and options.boxes.is_file():
        options.usage_error("--classes are those of YOLO boxes: a COCO file names its own, leave it out")
    pairs = pairs_of(options)
    given = [options.boxes, split, options.pairs_file, getattr(options, "weights", None)]
    given += [path for path in read if path not in INPUTS]
    folders = [Path(path) for path in given if path and Path(path).is_dir()]
    check_outputs(
        options,
        results=results,
        reports=reports,
        sources=[*pairs.files, *given],
        folders=[*pairs.folders, *folders],
    )
    return LabelledPairs.of(pairs, options.boxes, options.classes, reading_arguments(options), split)


def _named_folder(text: str) -> tuple[str, Path]:
    """The name of an input and its folder."""
    name, equals, folder = text.partition("=")
    if equals and re.fullmatch(r"[\w.-]+", name) and folder:
        return name, Path(folder)
    raise ArgumentTypeError(
        f"expected a name and a folder, such as densefuse=results/densefuse, found {text!r}"
    )


def _count(text: str) -> int:
    if text.isdecimal():
        return int(text)
    raise ArgumentTypeError(f"expected a whole number, at least 0, found {text!r}")


def _positive_count(text: str) -> int:
    if text.isdecimal() and int(text):
        return int(text)
    raise ArgumentTypeError(f"expected a whole number, at least 1, found {text!r}")


def _size(text: str) -> tuple[int, int]:
    """Height and width from WIDTHxHEIGHT."""
    width, _, height = text.partition("x")
    if all(side.isdecimal() and int(side) and int(side) % 8 == 0 for side in (width, height)):
        return int(height), int(width)
    raise ArgumentTypeError(f"expected a size such as 320x256, both multiples of 8, found {text!r}")
