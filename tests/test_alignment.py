"""Alignment: known motions are found, and what cannot be aligned is not trusted."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

import mambadfuse as mdf
from benchmarks.alignment import moved, random_motion, two_views
from mambadfuse.alignment.align import align, overlay
from mambadfuse.alignment.motion import MODELS, displacement, generators, small_motion
from mambadfuse.cli import main
from mambadfuse.data.images import read_image, read_picture
from mambadfuse.fusion.manifest import MANIFEST

SIZE = (144, 192)


def views(seed=1):
    return two_views(seed, SIZE)


@pytest.mark.parametrize("model", MODELS)
def test_a_known_motion_is_undone(model):
    a, b = views()
    motion = random_motion(np.random.default_rng(3), SIZE, model)
    found = mdf.align(moved(a, motion), b, model)
    errors = displacement(np.linalg.inv(found.matrix), motion, SIZE)
    assert np.median(errors) < 1.5 < np.median(displacement(np.eye(3), motion, SIZE)), errors
    assert found.trusted
    assert found.model == model


@pytest.mark.parametrize("model", ["translation", "affine"])
def test_a_registered_pair_stays_where_it_is(model):
    a, b = views()
    found = mdf.align(a, b, model)
    assert displacement(found.matrix, np.eye(3), SIZE).max() < 1
    assert found.inside.mean() > 0.98


def test_the_matrix_takes_pixels_of_the_moving_image_to_the_fixed_one():
    scene, _ = views()
    found = mdf.align(scene[10:130, 20:180], scene, "translation")
    np.testing.assert_allclose(found.matrix, [[1, 0, 20], [0, 1, 10], [0, 0, 1]], atol=0.1)
    assert found.image.shape == SIZE
    assert found.inside[60, 100]
    assert not found.inside[60, 5]
    assert found.image[60, 5] == 0
    assert np.abs(found.image - scene)[found.inside].mean() < 0.01


def test_another_resolution_counts_as_the_same_field():
    a, b = views()
    small = np.asarray(Image.fromarray(a).resize((SIZE[1] // 2, SIZE[0] // 2), Image.Resampling.BOX))
    found = mdf.align(small, b)
    assert found.image.shape == SIZE
    expected = [[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]]  # centres of pixels
    assert displacement(found.matrix, np.array(expected), small.shape).max() < 1.5


def test_colour_is_moved_with_the_image():
    a, b = views()
    found = mdf.align(np.stack([b, b / 2, b], -1), a)
    assert found.image.shape == (*SIZE, 3)
    assert found.image.dtype == np.float32
    assert 0 <= found.image.min() <= found.image.max() <= 1


def test_unrelated_images_are_not_trusted():
    noise = np.random.default_rng(0).random((2, *SIZE)).astype(np.float32)
    for moving, fixed in (noise, (views(0)[0], noise[1])):
        assert mdf.align(moving, fixed).confidence < 0.5


def test_a_blank_image_gives_a_finite_motion_that_is_not_trusted():
    found = mdf.align(np.zeros(SIZE, np.float32), views()[1])
    assert found.confidence == 0
    assert np.isfinite(found.matrix).all()


@pytest.mark.parametrize("model", [*MODELS, "similarity"])
def test_small_motions_follow_their_generators(model):
    x, y = np.float32([[0.3]]), np.float32([[-0.7]])
    velocities = generators(model, x, y)
    for i, velocity in enumerate(velocities):
        p = np.zeros(len(velocities))
        p[i] = 1e-4
        end = small_motion(model, p) @ [0.3, -0.7, 1]
        step = (end[:2] / end[2] - [0.3, -0.7]) / 1e-4
        np.testing.assert_allclose(step, np.ravel(velocity), atol=1e-3)


def test_the_record_is_json_with_the_matrix():
    a, b = views()
    found = mdf.align(a, b, "translation")
    record = json.loads(found.to_json())
    np.testing.assert_array_equal(record["matrix"], found.matrix)
    assert record["model"] == "translation"
    assert record["size"] == list(SIZE)


def test_the_overlay_is_grey_where_both_agree():
    x = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    picture = overlay(x, np.stack([x] * 3, -1))
    assert np.ptp(picture, axis=-1).max() <= 1
    assert overlay(x, 0 * x)[2, 3].tolist() == [255, 0, 0]
    with pytest.raises(ValueError, match=r"one size, found shapes \(3, 4\) and \(2, 4\)"):
        overlay(x, x[1:])


@pytest.mark.parametrize(
    ("moving", "model", "message"),
    [
        (
            np.zeros(SIZE),
            "rigid",
            "model must be one of translation, euclidean, affine, homography, found 'rigid'",
        ),
        (np.zeros((20, 40)), "affine", "moving must have at least 32 pixels a side, found 40x20"),
    ],
)
def test_errors_say_what_was_expected(moving, model, message):
    with pytest.raises(ValueError, match=message):
        mdf.align(moving, np.zeros(SIZE), model)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders with one pair whose side a lies 9 pixels to the right and 5 below."""
    monkeypatch.chdir(tmp_path)
    a, b = views()
    shift = np.array([[1, 0, 9], [0, 1, 5], [0, 0, 1.0]])
    for folder, image in (("a", moved(a, shift)), ("b", b)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.uint8(255 * image)).save(tmp_path / folder / "1.png")
    return tmp_path


def run(words):
    return main(["align", *words.split()])


def test_two_files_into_a_file(folders, capsys):
    words = "--a a/1.png --b b/1.png --out out/a.png --transform t.json --overlay o.png --motion translation"
    assert run(words) == 0
    matrix = np.array(json.loads((folders / "t.json").read_text())["matrix"])
    np.testing.assert_allclose(matrix[:2, 2], [-9, -5], atol=0.5)
    assert read_image("out/a.png").shape == read_image("o.png").shape[:2] == SIZE
    said = capsys.readouterr()
    assert "wrote out/a.png: confidence" in said.out
    assert "outside" in said.out
    assert "doubtful" not in said.err


def test_either_side_may_move(folders):
    assert (
        run("--a a/1.png --b b/1.png --out b.png --moves b --motion translation --transform t.json --bits 16")
        == 0
    )
    matrix = np.array(json.loads((folders / "t.json").read_text())["matrix"])
    np.testing.assert_allclose(matrix[:2, 2], [9, 5], atol=0.5)
    assert read_picture("b.png").bits == 16


def test_folders_into_folders_that_can_be_fused(folders, capsys):
    words = "--a a --b b --out moved --transform transforms --overlay overlays --motion translation"
    assert run(words) == 0
    assert sorted(path.name for path in (folders / "moved").iterdir()) == [MANIFEST, "1.png"]
    assert (folders / "transforms" / "1.json").exists()
    assert (folders / "overlays" / "1.png").exists()
    capsys.readouterr()
    assert run(words) == 0
    assert "kept moved/1.png" in capsys.readouterr().out.replace("\\", "/")


def test_ctrl_c_between_pairs_says_how_many_are_done(folders, capsys, monkeypatch):
    for side in "ab":
        shutil.copy(f"{side}/1.png", f"{side}/2.png")
    calls = []

    def interrupted(*words):
        calls.append(words)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return align(*words)

    monkeypatch.setattr("mambadfuse.alignment.align.align", interrupted)
    words = "--a a --b b --out moved --motion translation"
    assert run(words) == 130
    assert "1 of 2 results are in moved; the same command makes the rest" in capsys.readouterr().err
    assert run(words) == 0
    said = capsys.readouterr().out.replace("\\", "/")
    assert "kept moved/1.png" in said
    assert "wrote moved/2.png" in said


def test_results_are_kept_from_whatever_folder_the_command_is_given(folders, capsys, monkeypatch):
    assert run("--a a --b b --out moved --overlay overlays --motion translation") == 0
    (folders / "elsewhere").mkdir()
    monkeypatch.chdir(folders / "elsewhere")
    assert run("--a ../a --b ../b --out ../moved --overlay ../overlays --motion translation") == 0
    assert "kept ../moved/1.png" in capsys.readouterr().out.replace("\\", "/")


def test_a_doubtful_alignment_is_said(folders, capsys):
    noise = np.random.default_rng(0).integers(0, 256, SIZE).astype(np.uint8)
    Image.fromarray(noise).save("noise.png")
    assert run("--a noise.png --b b/1.png --out n.png --motion translation") == 0
    assert "warning: n.png: the alignment is doubtful" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "--a a/1.png --b b/1.png --out a/1.png",
        "--a a/1.png --b b/1.png --out o.png --overlay b/1.png",
        "--a a/1.png --b b/1.png --out o.png --transform a/1.png",
        "--a a/1.png --b b/1.png --out o.png --overlay o.png",
        "--a a/1.png --b b/1.png --out o.png --overlay o.jpg",
        "--a a/1.png --b b/1.png --out a",
        "--a a --b b --out o --transform o",
        "--a a --b b/1.png --out o",
        "--a a/1.png --b a/1.png --out o.png",
    ],
)
def test_no_output_replaces_a_source_or_another_output(words, folders, capsys):
    before = {path: path.read_bytes() for path in folders.rglob("*.png")}
    with pytest.raises(SystemExit):
        run(words + " --overwrite")
    assert {path: path.read_bytes() for path in folders.rglob("*.*")} == before


def test_what_is_empty_stale_or_missing_is_made_again(folders, capsys):
    words = "--a a/1.png --b b/1.png --out o.png --motion translation"
    run(words)
    good = (folders / "o.png").read_bytes()
    (folders / "o.png").write_bytes(b"")
    run(words)
    assert (folders / "o.png").read_bytes() == good
    os.utime("o.png", (1, 1))
    run(f"{words} --transform t.json")
    assert (folders / "o.png").stat().st_mtime > 1
    assert (folders / "t.json").exists()
    capsys.readouterr()
    run(f"{words} --transform t.json")
    assert "kept o.png" in capsys.readouterr().out


def test_results_of_other_settings_and_pictures_of_the_user_are_not_replaced(folders, capsys):
    words = "--a a --b b --out moved --overlay overlays --motion translation"
    assert run(words) == 0
    before = {path: path.read_bytes() for path in folders.rglob("*.png")}
    assert run("--a a --b b --out moved --overlay overlays --motion euclidean") == 1
    assert "was made with motion translation, now it is motion euclidean" in capsys.readouterr().err
    (folders / "mine").mkdir()
    shutil.copy("b/1.png", "mine/1.png")
    os.utime("mine/1.png", (1, 1))
    for out in ("--out mine", "--out moved --overlay mine", "--out new --transform mine2 --overlay mine"):
        assert run(f"--a a --b b {out} --motion translation") == 1
        assert "1.png has no record of its settings" in capsys.readouterr().err
    assert run("--a a/1.png --b b/1.png --out mine/1.png --motion translation") == 1
    assert "1.png: exists already, and has no record" in capsys.readouterr().err
    assert (folders / "mine/1.png").read_bytes() == (folders / "b/1.png").read_bytes()
    assert {path: path.read_bytes() for path in before} == before
    assert run("--a a --b b --out mine --motion translation --overwrite") == 0


def test_one_folder_with_both_sides_and_a_file_of_pairs(folders, capsys):
    (folders / "both").mkdir()
    shutil.copy("a/1.png", "both/ir_1.png")
    shutil.copy("b/1.png", "both/vis_1.png")
    (folders / "pairs.csv").write_text("a,b,name\na/1.png,b/1.png,gate\n")
    assert run("--a a --b b --out o --motion translation") == 0
    assert run("--a both --out o1 --motion translation --transform t1") == 0
    assert run("--pairs-file pairs.csv --out o2 --motion translation") == 0
    expected = (folders / "o/1.png").read_bytes()
    assert (folders / "o1/ir_1.png").read_bytes() == (folders / "o2/gate.png").read_bytes() == expected
    assert (folders / "t1/ir_1.json").exists()
    assert run("--a both --out both/o --motion translation") == 1
    assert "outside the sources" in capsys.readouterr().err
    (folders / "pairs.csv").write_text("a,b,name\na/1.png,b/1.png,1\n")
    with pytest.raises(SystemExit):
        run("--pairs-file pairs.csv --out a --motion translation --overwrite")
    assert "would replace its own source" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["", "--pairs-file pairs.csv --a a", "--a a/1.png"])
def test_align_says_which_pairs_it_needs(folders, capsys, words):
    with pytest.raises(SystemExit):
        run(f"{words} --out o")
    assert "--pairs-file" in capsys.readouterr().err


def test_raw_counts_are_stretched_before_they_are_aligned(folders, capsys):
    levels = np.asarray(Image.open("a/1.png")).astype(np.uint16)
    (folders / "raw").mkdir()
    Image.fromarray(29000 + 4 * levels).save("raw/1.png")
    assert run("--a a --b b --out plain --motion translation") == 0
    words = "--b b/1.png --motion translation --stretch 29000 30020"
    assert run(f"--a raw/1.png {words} --out one.png") == 0
    assert run("--a raw --b b --motion translation --stretch 29000 30020 --out folder") == 0
    for stretched in ("one.png", "folder/1.png"):
        np.testing.assert_allclose(read_image(stretched), read_image("plain/1.png"), atol=0.005)
    capsys.readouterr()
    assert run("--a raw --b b --motion translation --stretch 29000 30021 --out folder") == 1
    assert "stretch 29000 30020, now it is stretch 29000 30021" in capsys.readouterr().err


def test_results_go_outside_the_sources(folders, capsys):
    assert run("--a a --b b --out o --overlay a/overlays") == 1
    assert "outside the sources" in capsys.readouterr().err
