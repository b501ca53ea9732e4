"""The detector: targets, loss, peaks and training agree with each other, and a matrix says what its numbers say."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mambadfuse.ablation.report_formats import markdown
from mambadfuse.cli import main
from mambadfuse.data.object_scenes import KINDS, object_scene
from mambadfuse.detection import (
    INPUTS,
    DetectionSet,
    Detector,
    DetectorConfig,
    DetectorMetadata,
    Maps,
    Objects,
    decode,
    detect,
    detection_loss,
    detection_scores,
    focal_loss,
    input_image,
    intersection_over_union,
    load_detector,
    report,
    run_matrix,
    save_detector,
    targets,
    train_detector,
    verdict,
)
from mambadfuse.detection.boxes import as_boxes
from mambadfuse.detection.matrix import Trained, read_results, write_results
from mambadfuse.detection.report import compare, detail_table, matrix_table
from mambadfuse.detection.scenes import fused_scenes, scene_objects, scene_sets, visibility_groups
from mambadfuse.detection.targets import gaussian_radius
from mambadfuse.detection.training_run import trained_detector
from mambadfuse.models.checkpoints import load, save
from mambadfuse.training.checkpointing import CheckpointManager, exclusive

SCENES = [object_scene(0, index, (48, 64)) for index in range(8)]
OBJECTS = [scene_objects(scene) for scene in SCENES]
IMAGES = scene_sets(SCENES)
QUICK = DetectorConfig(steps=6, batch=4)


def perfect(aim):
    """The maps of a detector that is right and sure."""
    return Maps(torch.where(aim.heat == 1, 20.0, -20.0), aim.size, aim.offset)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_peaks_of_perfect_maps_are_the_objects(seed):
    scene = object_scene(seed, 0, (64, 96))
    truth = scene_objects(scene)
    found = decode(perfect(targets([truth], len(KINDS), 64, 96)))[0]
    assert len(found.labels) == len(truth.labels)
    if len(truth.labels):
        overlap = intersection_over_union(truth.boxes, found.boxes)
        np.testing.assert_allclose(overlap.max(axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(found.labels[overlap.argmax(axis=1)], truth.labels)


def test_the_loss_is_least_for_perfect_maps_and_pulls_towards_them():
    aim = targets(OBJECTS, len(KINDS), 48, 64)
    assert detection_loss(perfect(aim), aim) < 1e-3
    guess = Maps(torch.zeros_like(aim.heat, requires_grad=True), aim.size + 1, aim.offset)
    loss = detection_loss(guess, aim)
    loss.backward()
    assert loss > 1
    assert (guess.logits.grad[aim.heat == 1] < 0).all(), "up at centres"
    assert (guess.logits.grad[aim.heat == 0] > 0).all(), "down elsewhere"


def test_the_focal_loss_by_hand():
    logits, heat = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.5])
    # centre: (1/2)^2 log 2; beside it: (1/2)^4 (1/2)^2 log 2
    expected = (0.25 + 0.0625 * 0.25) * np.log(2)
    assert focal_loss(logits, heat).item() == pytest.approx(expected, rel=1e-6)


@settings(max_examples=30)
@given(st.floats(1, 60), st.floats(1, 60))
def test_boxes_moved_by_the_radius_still_overlap(width, height):
    radius = gaussian_radius(width, height)
    shared = (width - radius) * (height - radius)
    assert shared / (2 * width * height - shared) >= 0.7 - 1e-9
    larger = max(width - radius - 1, 0) * max(height - radius - 1, 0)
    assert larger / (2 * width * height - larger) < 0.7


def test_targets_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="multiples of 4, found 50 and 64"):
        targets(OBJECTS, 3, 50, 64)
    with pytest.raises(ValueError, match=r"labels must lie in 0..0, found \[2\]"):
        targets([Objects(as_boxes([0, 0, 4, 4]), np.array([2]))], 1, 48, 64)


@pytest.mark.parametrize("kind", ["ignored", "crowd"])
def test_ignored_objects_are_neither_objects_nor_background(kind):
    boxes = as_boxes([[8, 8, 16, 16], [24, 23, 48, 41]])
    aim = targets([Objects(boxes, np.array([0, 1]), **{kind: np.array([False, True])})], 2, 48, 64)
    assert aim.centre.sum() == 1
    assert not aim.heat[0, 1].any()
    inside = np.zeros((12, 16), bool)
    inside[5:11, 6:12] = True
    np.testing.assert_array_equal(aim.ignored[0], [np.zeros_like(inside), inside])
    logits = torch.zeros_like(aim.heat, requires_grad=True)
    detection_loss(Maps(logits, aim.size, aim.offset), aim).backward()
    np.testing.assert_array_equal(logits.grad[0, 1] == 0, inside)
    assert (logits.grad[0, 0] != 0).all()


def test_a_centre_inside_a_crowd_is_learnt():
    boxes = as_boxes([[8, 8, 16, 16], [0, 0, 48, 48]])
    aim = targets([Objects(boxes, np.array([0, 0]), crowd=np.array([False, True]))], 1, 48, 64)
    logits = torch.zeros_like(aim.heat, requires_grad=True)
    detection_loss(Maps(logits, aim.size, aim.offset), aim).backward()
    assert logits.grad[0, 0, 3, 3] < 0
    assert logits.grad[0, 0, 6, 6] == 0


@pytest.mark.parametrize("box", [[-8, 0, 4, 8], [0, -9, 8, 1], [60, 0, 70, 8], [0, 44, 8, 52]])
def test_a_centre_outside_the_image_is_refused(box):
    with pytest.raises(
        ValueError, match=r"the centre of the box \[.*\] lies outside the image of 64x48 pixels"
    ):
        targets([Objects(as_boxes(box), np.array([0]))], 1, 48, 64)


def test_a_box_that_reaches_outside_has_its_centre_in_the_image():
    aim = targets([Objects(as_boxes([[-4, 40, 12, 54]]), np.array([0]))], 1, 48, 64)
    assert aim.centre[0, 0, 11, 1]
    assert aim.size[0, :, 11, 1].tolist() == [4, 3.5]


@pytest.mark.parametrize(
    ("boxes", "labels", "message"),
    [
        ([[0, 0, 0, 4]], [0], "right > left"),
        ([[0, 0, 4, 4]], [0, 1], r"found \(1, 4\), \(2,\)"),
    ],
)
def test_objects_that_are_none(boxes, labels, message):
    with pytest.raises(ValueError, match=message):
        Objects(as_boxes(boxes), np.array(labels))


def test_inputs_are_what_they_are_called():
    scene = SCENES[0]
    for name, image in IMAGES.items():
        np.testing.assert_array_equal(image.pixels[0], input_image(name, scene.a, scene.b))
    np.testing.assert_array_equal(IMAGES["both"].pixels[:, :1], IMAGES["a"].pixels)
    np.testing.assert_array_equal(IMAGES["both"].pixels[:, 1:], IMAGES["b"].pixels)
    with pytest.raises(ValueError, match="unknown input 'c': choose one of a, b, mean"):
        input_image("c", scene.a, scene.b)


def test_the_detector_says_which_images_it_takes():
    for shape in [(1, 2, 64, 64), (1, 1, 60, 64), (1, 64, 64)]:
        with pytest.raises(ValueError, match=r"must have shape \(B, 1, H, W\) with multiples of 8"):
            Detector(1, 3)(torch.zeros(shape))
    with pytest.raises(ValueError, match="pixels must be uint8"):
        DetectionSet(np.zeros((1, 1, 12, 16), np.uint8), OBJECTS[:1], KINDS)
    with pytest.raises(ValueError, match="found 8 images, and the objects of 1"):
        DetectionSet(IMAGES["a"].pixels, OBJECTS[:1], KINDS)


def test_the_digest_of_images_takes_no_copy_of_them():
    pixels = np.zeros((1, 1, 1024, 1024), np.uint8)
    images = DetectionSet(pixels, OBJECTS[:1], KINDS)
    tracemalloc.start()
    digest = images.digest()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < pixels.nbytes / 2
    assert digest == DetectionSet(pixels[..., ::-1], OBJECTS[:1], KINDS).digest(), (
        "of the pixels, not of the memory"
    )


def states_equal(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_a_run_that_was_stopped_resumes_to_the_same_weights(tmp_path, monkeypatch):
    whole = train_detector(IMAGES["a"], QUICK)
    assert states_equal(whole, train_detector(IMAGES["a"], QUICK))
    assert not states_equal(whole, train_detector(IMAGES["a"], replace(QUICK, seed=1)))

    monkeypatch.setattr("mambadfuse.detection.training._SAVE_EVERY", 0.0)
    checkpoints = CheckpointManager(tmp_path / "run", {}, count=2)
    real, calls = detection_loss, []

    def stops(maps, aim):
        calls.append(aim)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(maps, aim)

    monkeypatch.setattr("mambadfuse.detection.training.detection_loss", stops)
    with pytest.raises(KeyboardInterrupt):
        train_detector(IMAGES["a"], QUICK, checkpoints=checkpoints)
    assert checkpoints.latest().metadata == {"step": 3}
    assert states_equal(whole, train_detector(IMAGES["a"], QUICK, checkpoints=checkpoints))
    assert len(calls) == 7, "three steps, one that was stopped, three more"


@pytest.mark.slow
def test_training_learns_one_scene_by_heart():
    one = DetectionSet(IMAGES["both"].pixels[1:2], OBJECTS[1:2], KINDS)
    network = train_detector(one, DetectorConfig(steps=100, batch=4, learning_rate=1e-2))
    assert detection_scores(detect(network, one.pixels), one.objects, KINDS)["AP50"] == 1


def test_nothing_to_learn_and_numbers_that_are_none():
    empty = DetectionSet(IMAGES["a"].pixels[:1], [Objects(as_boxes([]), np.zeros(0, int))], KINDS)
    crowded = replace(empty, objects=[Objects(as_boxes([0, 0, 9, 9]), np.array([0]), crowd=np.array([True]))])
    for images in (empty, crowded):
        with pytest.raises(ValueError, match="found no object in 1 images"):
            train_detector(images, QUICK)
    for setting, message in (
        ({"steps": 0}, "steps must be positive, found 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, found nan"),
        ({"seed": -1}, "seed must be at least 0, found -1"),
        ({"seed": 2**63}, r"seed must be below 2\*\*63, found 9223372036854775808"),
    ):
        with pytest.raises(ValueError, match=message):
            DetectorConfig(**setting)


def test_a_detector_goes_through_a_file(tmp_path):
    network, metadata = (
        Detector(2, 3, width=8).eval(),
        DetectorMetadata("both", (48, 64), KINDS, {"steps": 5}),
    )
    save_detector(tmp_path / "new" / "d.safetensors", network, metadata)
    loaded, same = load_detector(tmp_path / "new" / "d.safetensors")
    assert same == metadata
    assert states_equal(network, loaded)
    (tmp_path / "other.safetensors").write_bytes(b"weights")
    with pytest.raises(ValueError, match="is no detector that mambadfuse detect wrote"):
        load_detector(tmp_path / "other.safetensors")


@pytest.mark.parametrize("stored", ['"x"', "[]", "[" * 100_000, "{}", '{"channels": 1, "width": 0}'])
def test_a_detector_whose_metadata_are_damaged_is_named(tmp_path, stored):
    file = tmp_path / "d.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(1)}, file, {"detector": stored})
    with pytest.raises(ValueError, match=r"d\.safetensors: is no detector that mambadfuse detect wrote"):
        load_detector(file)


def test_a_file_with_other_images_or_settings_is_not_taken_for_the_result(tmp_path):
    file = tmp_path / "a.safetensors"
    first = trained_detector(IMAGES["a"], QUICK, file, "a")
    assert states_equal(first, trained_detector(IMAGES["a"], QUICK, file, "a"))
    assert not (tmp_path / "a.run").exists()
    with pytest.raises(ValueError, match="was trained with other images"):
        trained_detector(IMAGES["b"], QUICK, file, "a")
    with pytest.raises(ValueError, match="was trained with other steps"):
        trained_detector(IMAGES["a"], replace(QUICK, steps=7), file, "a")


def test_a_training_removes_no_files_but_its_own(tmp_path):
    (tmp_path / "a.run").mkdir()
    (tmp_path / "a.run" / "notes.txt").write_text("mine")
    trained_detector(IMAGES["a"], QUICK, tmp_path / "a.safetensors", "a")
    assert [file.name for file in (tmp_path / "a.run").iterdir()] == ["notes.txt"]
    assert load_detector(tmp_path / "a.safetensors")[1].source == "a"


def test_a_batch_beyond_the_free_memory_and_a_rate_beyond_floats_are_refused():
    images = DetectionSet(np.zeros((1, 1, 32, 32), np.uint8), [scene_objects(SCENES[0])], KINDS)
    with pytest.raises(MemoryError, match=r"a step of 1000000000 images takes at least 4096\.0 GB"):
        train_detector(images, DetectorConfig(batch=10**9))
    with pytest.raises(ValueError, match="learning_rate must be finite in float32, found 1e"):
        DetectorConfig(learning_rate=1e300)


def test_a_detector_that_another_process_finishes_meanwhile_is_not_trained_again(tmp_path, monkeypatch):
    file = tmp_path / "a.safetensors"

    def waits_for_another(lock, run, remove):
        monkeypatch.undo()
        trained_detector(IMAGES["a"], QUICK, file, "a")
        monkeypatch.setattr("mambadfuse.detection.training.detection_loss", None)
        return exclusive(lock, run)

    monkeypatch.setattr("mambadfuse.detection.training_run.exclusive", waits_for_another)
    found = trained_detector(IMAGES["a"], QUICK, file, "a")
    assert states_equal(found, load_detector(file)[0])


def test_groups_of_objects_split_the_objects():
    groups = visibility_groups(SCENES)
    together = [sum(int(group[n].sum()) for group in groups.values()) for n in range(len(SCENES))]
    assert together == [len(one.labels) for one in OBJECTS]
    perfect_detections = decode(perfect(targets(OBJECTS, 3, 48, 64)))
    scores = detection_scores(perfect_detections, OBJECTS, KINDS, groups)
    assert all(score == 1 or np.isnan(score) for score in scores.values())
    assert list(scores)[:2] == ["AP50", "AP"]


def test_a_matrix_trains_what_is_missing_and_tests_everything(tmp_path, monkeypatch):
    train = {name: IMAGES[name] for name in ("a", "both")}
    results = run_matrix(train, train, QUICK, [0, 1], tmp_path)
    assert [(one.source, one.seed, list(one.scores)) for one in results] == [
        ("a", 0, ["a"]), ("both", 0, ["both"]), ("a", 1, ["a"]), ("both", 1, ["both"]),
    ]  # fmt: skip
    assert repr(read_results(tmp_path / "results.jsonl")) == repr(results)
    monkeypatch.setattr("mambadfuse.detection.training.detection_loss", None)  # nothing is trained again
    assert repr(run_matrix(train, train, QUICK, [0, 1], tmp_path)) == repr(results)
    before = (tmp_path / "results.jsonl").read_bytes()
    for fewer, seeds, lost in (
        (train, [0], "a with seed 1"),
        ({"a": train["a"]}, [0, 1], "both with seed 0"),
    ):
        with pytest.raises(ValueError, match=f"results.jsonl: holds results .*, such as input {lost}"):
            run_matrix(fewer, fewer, QUICK, seeds, tmp_path)
    assert (tmp_path / "results.jsonl").read_bytes() == before
    with pytest.raises(ValueError, match="training has the inputs a, both, the test a"):
        run_matrix(train, {"a": IMAGES["a"]}, QUICK, [0], tmp_path)


@pytest.mark.slow
def test_scenes_are_fused_once(tmp_path, monkeypatch):
    few = SCENES[:2]
    fused = fused_scenes(few, "ivf", tmp_path)
    assert fused.shape == (2, 48, 64)
    monkeypatch.setattr("mambadfuse.detection.scenes.fuse_with", None)
    np.testing.assert_array_equal(fused, fused_scenes(few, "ivf", tmp_path))
    assert scene_sets(few, {"ivf": fused})["ivf"].pixels.shape == (2, 1, 48, 64)


@pytest.mark.slow
def test_other_contrast_is_another_fused_image(tmp_path):
    network = load("ivf-tiny")
    network.contrast = 1.0
    save(network, tmp_path / "flat.safetensors")
    first, second = (
        fused_scenes(SCENES[:1], model, tmp_path)
        for model in ("ivf-tiny", str(tmp_path / "flat.safetensors"))
    )
    assert first.std() > second.std()


def results_with(**scores):
    """Results of three seeds: every input has its AP50, with a little chance."""
    chance = {0: -0.0002, 1: 0.0, 2: 0.0002}
    return [
        Trained(name, seed, 10, 8, {name: {"AP50": score + (1 + len(name)) * chance[seed], "AP": score / 2}})
        for name, score in scores.items()
        for seed in chance
    ]


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        (
            {"a": 0.5, "b": 0.4, "mean": 0.55, "both": 0.8, "ivf": 0.7},
            "Fusing with ivf helps the detector: it finds more than in either image alone; "
            "with two channels it finds more; with the mean it finds less.",
        ),
        (
            {"a": 0.8, "b": 0.4, "maximum": 0.7, "ivf": 0.7},
            "Fusing with ivf does not help the detector: it finds no less in a alone; "
            "with the maximum it finds as much.",
        ),
        (
            {"mean": 0.5, "ivf": 0.7},
            "Whether fusing with ivf helps the detector is open without results of a and b; "
            "with the mean it finds less.",
        ),
        (
            {"b": 0.5, "ivf": 0.7},
            "Whether fusing with ivf helps the detector is open without results of a.",
        ),
        (
            {"b": 0.8, "ivf": 0.7},
            "Fusing with ivf does not help the detector: it finds no less in b alone.",
        ),
    ],
)
def test_the_verdict_follows_from_the_numbers(scores, sentence):
    assert verdict(results_with(**scores)) == [sentence]
    assert sentence in report(results_with(**scores))


def test_two_seeds_are_no_verdict_and_no_fusion_is_nothing_to_say():
    results = results_with(a=0.5, b=0.4, ivf=0.7)
    assert verdict([one for one in results if one.seed]) == [
        "Fewer than 3 seeds were trained on all inputs: no verdict on ivf."
    ]
    assert verdict([one for one in results if one.source != "ivf"]) == []
    with pytest.raises(ValueError, match="there are no results yet"):
        report([])
    with pytest.raises(ValueError, match="unknown metric 'F1': choose one of AP50, AP"):
        compare(results, "F1")


def test_the_report_of_a_file(tmp_path, capsys):
    write_results(tmp_path / "r.jsonl", results_with(a=0.5, b=0.4, ivf=0.7))
    assert main(["detect", "report", str(tmp_path / "r.jsonl")]) == 0
    out = capsys.readouterr().out
    assert "9 detectors, 10 steps each, seeds 0, 1, 2." in out
    assert "a instead of ivf: worse (AP50 -20.0 points" in out
    (tmp_path / "r.jsonl").write_text("{}\n")
    assert main(["detect", "report", str(tmp_path / "r.jsonl")]) == 1
    assert "line 1 is no result of a matrix" in capsys.readouterr().err


def test_the_page_has_the_numbers_and_the_verdict_of_the_results_of_the_kit():
    page = (Path(__file__).parents[1] / "docs" / "detecting.md").read_text(encoding="utf-8")
    results = read_results()
    for table in (matrix_table(results), detail_table(results)):
        lines = markdown("", [table]).strip().splitlines()
        assert "\n".join(line for line in lines if line.startswith("|")) in page
    words = " ".join(page.split())
    for sentence in [*verdict(results), *map(str, compare(results))]:
        assert sentence in words
    assert {one.source for one in results} == {*INPUTS, "ivf", "ivf-fast"}
    assert len({one.seed for one in results}) >= 3


@pytest.mark.parametrize("change", ['"seed": {}', '"steps": null', '"source": 3', f'"seed": {"[" * 100_000}'])
def test_results_with_damaged_fields_are_no_results(tmp_path, change):
    fields = (
        f'"source": "a", "seed": 0, "steps": 1, "images": 1, "scores": {{"a": {{"AP50": 0.5}}}}, {change}'
    )
    (tmp_path / "r.jsonl").write_text(f"{{{fields}}}\n")
    with pytest.raises(ValueError, match=r"r\.jsonl: line 1 is no result of a matrix"):
        read_results(tmp_path / "r.jsonl")


@pytest.mark.parametrize("scores", ["{}", "3", '{"a": 3}', '{"a": {"AP50": "x"}}', '{"b": {"AP50": 0.5}}'])
def test_results_without_scores_are_no_results(tmp_path, scores):
    fields = f'"source": "a", "seed": 0, "steps": 1, "images": 1, "scores": {scores}'
    (tmp_path / "r.jsonl").write_text(f"{{{fields}}}\n")
    with pytest.raises(ValueError, match=r"r\.jsonl: line 1 is no result of a matrix"):
        read_results(tmp_path / "r.jsonl")


def test_results_of_two_matrices_are_no_results(tmp_path):
    file = tmp_path / "results.jsonl"
    scores = [{"a": {"AP50": 0.5, "AP": 0.4}}, {"a": {"AP50": 0.5}}]
    write_results(file, [Trained("a", seed, 1, 1, own) for seed, own in enumerate(scores)])
    with pytest.raises(
        ValueError, match=r"line 2 is no result .* on a it has the scores AP50, the first AP50, AP"
    ):
        read_results(file)


def test_a_report_of_images_without_objects_has_no_verdict():
    text = report(results_with(a=np.nan, b=np.nan, fused=np.nan))
    assert "Whether fusing with fused helps the detector more than one image alone is open" in text


def test_results_without_objects_are_json(tmp_path):
    write_results(tmp_path / "r.jsonl", [Trained("a", 0, 1, 1, {"a": {"AP50": 0.5, "AP50 bus": np.nan}})])
    json.loads((tmp_path / "r.jsonl").read_text(), parse_constant=pytest.fail)
    (one,) = read_results(tmp_path / "r.jsonl")
    assert np.isnan(one.scores["a"]["AP50 bus"])
