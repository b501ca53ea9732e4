"""Folders of fused images: scores as those of single images, fair comparison, and whatever is missing named."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mambadfuse as mdf
from mambadfuse.cli import main
from mambadfuse.data.images import write_image
from mambadfuse.data.pairs import PairError
from mambadfuse.evaluation import folders as folders_module
from mambadfuse.evaluation.folders import evaluate_folders
from mambadfuse.evaluation.published import published
from mambadfuse.fusion import baselines
from mambadfuse.metrics import ALL, CONVENTIONS, EIGHT, evaluate, grey
from mambadfuse.resources import resource_folder

TNO = Path(__file__).parents[1] / ".." / "shared" / "data" / "ivf" / "test_tno"
NAMES = ("1", "2", "3")
QUICK = ("EN", "SD", "MSE")


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape or (48, 44), dtype=np.uint8)


def fill(folder, pictures):
    folder.mkdir()
    for name, picture in pictures.items():
        write_image(folder / f"{name}.png", picture)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Three pairs in a and b, and their fusions in first and second; first is the maximum."""
    monkeypatch.chdir(tmp_path)
    a = {name: noise(k) for k, name in enumerate(NAMES)}
    b = {name: noise(k + 10) for k, name in enumerate(NAMES)}
    fill(Path("a"), a)
    fill(Path("b"), b)
    fill(Path("first"), {name: baselines.maximum(a[name], b[name]) for name in NAMES})
    fill(Path("second"), {name: noise(k + 20) for k, name in enumerate(NAMES)})
    return a, b


def folders(*fused, **options):
    return evaluate_folders(fused, "a", "b", progress=False, **options)


def by_label(table):
    return {method.label: method for method in table.methods}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_scores_are_those_of_single_pictures(place, convention):
    a, b = place
    found = folders("second", metrics=ALL, convention=convention)
    ours = by_label(found)["second"]
    for k, name in enumerate(NAMES):
        assert ours.scores[name] == evaluate(noise(k + 20), a[name], b[name], convention=convention)
    for metric in ALL:
        values = [ours.scores[name][metric] for name in NAMES]
        assert ours.means[metric] == pytest.approx(np.mean(values))
        assert ours.stds[metric] == pytest.approx(np.std(values))
    assert (found.convention, found.pictures, found.problems) == (convention, NAMES, ())


def test_the_baselines_are_always_there_unless_left_out(place):
    found = by_label(folders("first", "second", metrics=QUICK))
    assert set(found) == {
        "first",
        "second",
        "mean (baseline)",
        "maximum (baseline)",
        "laplacian pyramid (baseline)",
    }
    assert found["first"].scores == found["maximum (baseline)"].scores
    alone = by_label(folders("first", "second", metrics=QUICK, baselines=False))
    assert set(alone) == {"first", "second"}
    assert alone["first"] == found["first"]


def test_the_eight_of_the_tables_are_the_default(place):
    assert folders("first").metrics == EIGHT


def test_colour_is_judged_by_its_luma(place):
    a, b = place
    colour = noise(5, 48, 44, 3)
    fill(Path("colour"), dict.fromkeys(NAMES, colour))
    found = by_label(folders("colour", metrics=QUICK))["colour"]
    assert found.scores["1"] == evaluate(grey(colour), a["1"], b["1"], metrics=QUICK)


def test_a_perfect_fusion_has_an_infinite_psnr_and_the_json_stays_valid(tmp_path):
    for folder in ("a", "b", "f"):
        fill(tmp_path / folder, {"1": noise(0)})
    found = evaluate_folders(
        [tmp_path / "f"], tmp_path / "a", tmp_path / "b", metrics=["PSNR"], progress=False
    )
    assert by_label(found)["f"].means == {"PSNR": math.inf}
    assert set(found.mean_ranks.values()) == {1}  # the baselines are perfect as well
    assert '"PSNR": "inf"' in found.to_json()


def test_what_is_missing_is_named_and_means_are_over_what_all_have(place):
    Path("first/1.png").unlink()
    write_image("second/2.png", noise(0, 20, 30))
    full = folders("second", metrics=QUICK)
    found = folders("first", "second", metrics=QUICK)
    assert sorted(found.problems) == [
        "first: holds no image, or more than one, named 1",
        "second/2.png: is 30x20, expected 44x48, the size of side a",
    ]
    assert found.pictures == ("3",)
    methods = by_label(found)
    assert set(methods["first"].scores) == {"2", "3"}
    assert set(methods["second"].scores) == {"1", "3"}
    assert set(methods["mean (baseline)"].scores) == set(NAMES)
    for method in found.methods:
        assert method.means == method.scores["3"]
    assert full.pictures == ("1", "3")


def test_broken_pairs_and_broken_results_are_named(place):
    Path("a/1.png").write_bytes(b"")
    Path("second/2.png").write_bytes(b"broken")
    write_image("b/extra.png", noise(0))
    found = folders("first", "second", metrics=QUICK)
    assert found.pictures == ("3",)
    assert len(found.problems) == 3
    for problem, words in zip(
        found.problems,
        ("b/extra.png: has no partner in a", "a/1.png: is empty", "second/2.png: is not a PNG"),
        strict=True,
    ):
        assert words in problem


def test_a_folder_without_any_score_is_left_out(place):
    fill(Path("small"), dict.fromkeys(NAMES, noise(0, 8, 8)))
    found = folders("first", "small", metrics=QUICK)
    assert "small" not in by_label(found)
    assert found.pictures == NAMES
    assert found.problems[-1] == "small: none of its images has numbers"
    with pytest.raises(
        ValueError, match=r"no image for which every method has numbers; the first of 4 .*8x8"
    ):
        folders("small", metrics=QUICK)


def test_pictures_too_small_for_a_metric_are_named_once(tmp_path):
    for folder in ("a", "b", "f"):
        fill(tmp_path / folder, {"tiny": noise(0, 20, 20), "large": noise(1)})
    found = evaluate_folders([tmp_path / "f"], tmp_path / "a", tmp_path / "b", progress=False)
    assert found.pictures == ("large",)
    needed = "VIF needs images of at least 41 x 41 pixels, found (20, 20)"
    assert found.problems == (f"{tmp_path / 'a' / 'tiny.png'}: {needed}",)
    found = evaluate_folders([tmp_path / "f"], tmp_path / "a", tmp_path / "b", metrics=["EN"], progress=False)
    assert found.pictures == ("large", "tiny")


def test_folders_of_one_name_go_by_their_path(place):
    for method in ("x", "y"):
        Path(method).mkdir()
        fill(Path(method) / "results", dict.fromkeys(NAMES, noise(3)))
    found = folders("x/results", "y/results", "first", metrics=QUICK, baselines=False)
    assert set(by_label(found)) == {"x/results", "y/results", "first"}


@pytest.mark.parametrize(
    ("fused", "options", "message"),
    [
        ([], {}, "at least one folder"),
        (["first", "a/../first"], {}, "first: is given twice"),
        (["none"], {}, "none: there is no such folder"),
        (["first"], {"metrics": ["XY"]}, r"unknown metrics \['XY'\]"),
        (["first"], {"metrics": ["EN", "SD", "EN"]}, "the metric EN is named twice"),
        (["first"], {"convention": "other"}, "convention must be one of"),
        (["first"], {"rows": "TNO"}, "no published rows for 'TNO'"),
        (["first"], {"rows": "TNO-25"}, "TNO-25 has 25 pairs, found 3"),
        (
            ["first"],
            {"rows": "TNO-25", "convention": "strict"},
            "follow the convention 'literature', found 'strict'",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(place, fused, options, message):
    with pytest.raises(ValueError, match=message):
        folders(*fused, **options)


def test_a_folder_without_common_names_is_refused(place):
    fill(Path("other"), {"9": noise(0)})
    with pytest.raises(PairError, match="other: no image in it has the name of a pair, such as 1"):
        folders("other")


@pytest.fixture
def twenty_five(tmp_path):
    for side in "abf":
        fill(tmp_path / side, {f"{k:02}": noise(k + ord(side), 8, 8) for k in range(25)})
    return tmp_path


def test_published_rows_are_refused_for_other_metrics_and_doubted_for_other_pictures(twenty_five):
    sides = [twenty_five / "f"], twenty_five / "a", twenty_five / "b"
    with pytest.raises(ValueError, match="none of CC, PSNR is published for TNO-25"):
        evaluate_folders(*sides, metrics=["CC", "PSNR"], rows="TNO-25", progress=False)
    found = evaluate_folders(*sides, metrics=["SD"], rows="TNO-25", progress=False)
    assert by_label(found)["CDDFuse (published)"].means["SD"] == 46.0
    (problem,) = found.problems
    assert "does not hold the images of TNO-25: SD of the" in problem


def test_a_result_that_is_missing_says_nothing_of_the_test_set(twenty_five, monkeypatch):
    """Its pair is left out of all means, but not of those by which a test set is recognised."""
    sides = [twenty_five / "f"], twenty_five / "a", twenty_five / "b"
    write_image(twenty_five / "a" / "07.png", noise(7, 8, 8) // 2)
    whole = by_label(evaluate_folders(*sides, metrics=["SD"], progress=False))
    means = {name: whole[f"{name} (baseline)"].means for name in ("mean", "maximum")}
    monkeypatch.setattr(folders_module, "published", lambda name: replace(published(name), baselines=means))
    assert evaluate_folders(*sides, metrics=["SD"], rows="TNO-25", progress=False).problems == ()
    (twenty_five / "f" / "07.png").unlink()
    (problem,) = evaluate_folders(*sides, metrics=["SD"], rows="TNO-25", progress=False).problems
    assert "holds no image, or more than one, named 07" in problem


@pytest.mark.slow
@pytest.mark.skipif(not TNO.is_dir(), reason="the TNO pairs are not at hand")
def test_published_rows_of_the_tno_pictures():
    """Of all published rows these are computed from the 25 pairs alone; the others need images of other methods."""
    found = evaluate_folders([TNO / "ir"], TNO / "ir", TNO / "vi", rows="TNO-25", progress=False)
    assert found.problems == ()
    known = published("TNO-25").baselines
    assert set(known) == {"mean", "maximum", "laplacian pyramid"}
    for name, means in known.items():
        assert set(means) == set(EIGHT)
        assert by_label(found)[f"{name} (baseline)"].means == pytest.approx(means, abs=1e-3)
    assert found.ranks["maximum (baseline)"]["MI"] == 2  # second only to a copy of one source
    assert found.ranks["ir"]["MI"] == 1


def test_markdown_shows_means_with_their_spread_and_the_best_in_bold(place):
    header, _, *rows = folders("first", "second").to_markdown().splitlines()
    assert header.startswith("|  | mean rank | EN |")
    methods = folders("first", "second").methods
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [method.label for method in methods]
    best = max(methods, key=lambda method: method.means["SSIM"])
    (row,) = (row for row in rows if row.startswith(f"| {best.label} |"))
    assert row.endswith(f"**{best.means['SSIM']:.3f}** ± {best.stds['SSIM']:.3f} |")


# --------------------------------------------------------------------------------------- the command


def command(words):
    return main(["evaluate", *words.split()])


@pytest.mark.slow
def test_the_command_prints_the_table_and_writes_the_files(place, capsys):
    words = "--fused first second --a a --b b --json out/t.json --csv out/t.csv --markdown out/t.md"
    words += " --plot out/p.png --boxes out/b.png"
    assert command(words) == 0
    output = capsys.readouterr().out
    assert output.startswith(str(folders("first", "second")))
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "b.png",
        "p.png",
        "t.csv",
        "t.json",
        "t.md",
    ]
    assert Path("out/t.json").read_text(encoding="utf-8") == folders("first", "second").to_json()
    assert Path("out/t.csv").read_text(encoding="utf-8") == folders("first", "second").to_csv()
    assert Path("out/t.md").read_text(encoding="utf-8") == folders("first", "second").to_markdown()
    assert Path("out/p.png").read_bytes().startswith(b"\x89PNG")


def test_options_reach_the_evaluation(place):
    words = "--fused first --a a --b b --convention strict --metrics PSNR MI --no-baselines --json t.json"
    assert command(words) == 0
    read = json.loads(Path("t.json").read_text(encoding="utf-8"))
    assert (read["convention"], read["metrics"]) == ("strict", ["PSNR", "MI"])
    assert [method["name"] for method in read["methods"]] == ["first"]


def test_problems_are_one_line_each_and_exit_code_1(place, capsys):
    Path("first/1.png").unlink()
    assert command("--fused first second --a a --b b --metrics EN") == 1
    captured = capsys.readouterr()
    assert captured.err == "mambadfuse: first: holds no image, or more than one, named 1\n"
    assert captured.out.startswith("2 images")


def test_a_file_that_cannot_be_written_is_one_line_that_names_it(place, capsys):
    Path("taken").mkdir()
    assert command("--fused first --a a --b b --metrics EN --json taken") == 1
    assert re.fullmatch(r"mambadfuse: taken: cannot be written \(.+\)\n", capsys.readouterr().err)
    assert sorted(path.name for path in Path().iterdir()) == ["a", "b", "first", "second", "taken"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--fused first --a a --b none", "none: there is no such folder"),
        ("--fused first --a a --b b --metrics EN XY", "unknown metrics ['XY']"),
        ("--fused first --a a --b b --rows nonsense", "choose one of TNO-25"),
        ("--fused first --a a --b ./a", "a: no folder below it has a known name"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(place, capsys, words, message):
    assert command(words) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--a a --b b", "--fused"),
        ("--fused first --a a --b b --convention other", "--convention"),
        ("--fused first --a a --b b --plot p.pdf", "--plot p.pdf: expected the name of a .png file"),
    ],
)
def test_wrong_usage_is_exit_code_2(place, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        command(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_one_folder_of_results_needs_no_list():
    folder = resource_folder("data_samples") / "ivf"
    one = mdf.evaluate_folders(folder / "ir", folder / "ir", folder / "vi", baselines=False, progress=False)
    several = mdf.evaluate_folders(
        [folder / "ir"], folder / "ir", folder / "vi", baselines=False, progress=False
    )
    assert one.methods == several.methods


def test_a_file_name_in_place_of_pixels_says_how_to_read_it():
    with pytest.raises(TypeError, match="fused must be pixels, found a file name"):
        mdf.evaluate("fused.png", np.zeros((9, 9)), np.zeros((9, 9)))


def test_ctrl_c_says_how_many_pairs_were_done_and_writes_nothing(place, monkeypatch, capsys):
    judged = []

    def interrupted(fused, a, b, **options):
        judged.append(a)
        if np.array_equal(a, place[0]["2"]):
            raise KeyboardInterrupt
        return evaluate(fused, a, b, **options)

    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr("mambadfuse.evaluation.folders.evaluate", interrupted)
    command = "evaluate --fused first --a a --b b --no-baselines --metrics EN --json scores.json"
    assert main(command.split()) == 130
    assert capsys.readouterr().err == (
        "mambadfuse: interrupted: 1 of 3 pairs were done, and nothing is written; the same command starts over\n"
    )
    assert len(judged) < 4
    assert not Path("scores.json").exists()
