"""Results: fused images find their pairs by name, with or without added words, and nothing is guessed."""

import pytest

from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.pairs import PairError
from mambadfuse.data.results import results_in


@pytest.fixture
def match(tmp_path):
    """What results_in finds among files, for pairs of files in two folders or in one."""

    def match_files(results, *sides):
        for folder, names in zip(("fused", "a", "b"), (results, *sides), strict=False):
            for name in names:
                path = tmp_path / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"x")
        found = find_pairs(tmp_path / "a", tmp_path / "b" if len(sides) == 2 else None)
        matched = results_in(tmp_path / "fused", found.pairs)
        return {name: path.relative_to(tmp_path / "fused").as_posix() for name, path in matched.items()}

    return match_files


THREE = ["1.png", "2.png", "10.png"]


@pytest.mark.parametrize(
    "form",
    ["{}.png", "{}.JPG", "{}_fused.png", "fused_{}.png", "fused{}.png", "DenseFuse-{}.png", "{} (SwinFusion).png",
     "{}.densefuse.v2.png", "ivf_{}_result.png", "{}融合.png"],
)  # fmt: skip
def test_names_may_have_something_before_or_after_them(match, form):
    files = {name.removesuffix(".png"): form.format(name.removesuffix(".png")) for name in THREE}
    assert match(files.values(), THREE, THREE) == files


@pytest.mark.parametrize(
    "form", ["{}.png", "{}_fused.png", "fused-{}.png", "IR{}.png", "VIS{}.png", "vis_{}_ours.png"]
)
def test_pairs_in_one_folder_have_results_under_either_name_or_that_of_the_scene(match, form):
    both = [f"{side}{k}.png" for side in ("IR", "VIS") for k in (1, 2, 11)]
    assert match([form.format(k) for k in (1, 2, 11)], both) == {f"IR{k}": form.format(k) for k in (1, 2, 11)}


def test_results_of_drones_go_by_the_scene(match):
    both = [f"DJI_{k:04}_{side}.JPG" for side in "TW" for k in (1, 2)]
    fused = ["dji_0001_fused.png", "dji_0002_fused.png"]
    assert list(match(fused, both).values()) == fused


def test_sub_folders_stay_apart(match):
    names = ["day/1.png", "night/1.png"]
    files = ["day/1_fused.png", "night/1_fused.png"]
    assert match(files, names, names) == {"day/1": files[0], "night/1": files[1]}


@pytest.mark.parametrize("form", ["{:03}.png", "{:04}_fused.png", "Fused{:05}.png"])
def test_numbers_may_be_padded_with_zeros(match, form):
    names = [f"{k}.png" for k in range(8, 12)]
    assert match([form.format(k) for k in range(8, 12)], names, names) == {
        f"{k}": form.format(k) for k in range(8, 12)
    }


def test_numbers_of_pairs_may_be_padded_with_zeros(match):
    names = ["0001.png", "0002.png"]
    assert match(["1.png", "2.png"], names, names) == {"0001": "1.png", "0002": "2.png"}


def test_a_number_padded_in_two_ways_is_an_error_that_lists_both(match):
    with pytest.raises(PairError, match="the result of 1 could be 001 or 01"):
        match(["01.png", "001.png", "10.png"], ["1.png", "10.png"], ["1.png", "10.png"])


@pytest.mark.parametrize("form", ["images/{}.png", "epoch_9/test/{}_fused.png", "{}.png"])
@pytest.mark.parametrize("sides", [("ir", "vi"), ("test/ir", "test/vi")])
def test_results_may_lie_in_a_sub_folder_and_pairs_below_one_folder_have_results_elsewhere(
    match, form, sides
):
    both = [f"{side}/{k}.png" for side in sides for k in (1, 2)]
    assert match([form.format(k) for k in (1, 2)], both) == {
        f"{sides[0]}/{k}": form.format(k) for k in (1, 2)
    }
    assert match([form.format(k) for k in (1, 2)], ["1.png", "2.png"], ["1.png", "2.png"]) == {
        f"{k}": form.format(k) for k in (1, 2)
    }


def test_sub_folders_of_pairs_count_below_a_sub_folder_of_results(match):
    names = ["day/1.png", "night/1.png"]
    files = ["ours/day/01.png", "ours/night/01.png"]
    assert match(files, names, names) == {"day/1": files[0], "night/1": files[1]}


def test_sub_folders_of_several_methods_are_an_error_that_lists_them(match):
    with pytest.raises(PairError, match="2 ways: the result of 1 could be ours/1 or theirs/1"):
        match(
            [f"{method}/{k}.png" for method in ("ours", "theirs") for k in (1, 2)],
            ["1.png", "2.png"],
            ["1.png", "2.png"],
        )


def test_what_is_missing_stays_missing_and_what_belongs_to_no_pair_is_ignored(match):
    assert match(["1_fused.png", "10_fused.png"], THREE, THREE) == {"1": "1_fused.png", "10": "10_fused.png"}
    assert match(["scores_1.png", "sheet.png", "2_fused.png"], THREE, THREE)["2"] == "2_fused.png"


def test_a_word_that_holds_a_number_is_no_name_if_it_is_common_to_all(match):
    assert match(["1_v2.png", "10_v2.png"], THREE, THREE) == {"1": "1_v2.png", "10": "10_v2.png"}


def test_a_plain_name_comes_first(match):
    assert match(["1.png", "1_mask.png", "2_mask.png"], THREE, THREE) == {"1": "1.png"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["1_ours.png", "2_ours.png", "1_theirs.png", "2_theirs.png"], "2 ways: .* 1_ours or 1_theirs"),
        (["1_fused.png", "1-fused.png", "2_fused.png"], "1-fused or 1_fused"),
    ],
)
def test_several_readings_are_an_error_that_lists_them(match, files, message):
    with pytest.raises(
        PairError, match=f"fused: its names can be read in {message}" if "ways" in message else message
    ):
        match(files, ["1.png", "2.png"], ["1.png", "2.png"])


@pytest.mark.parametrize("files", [["11_fused.png", "100.png"], ["x.png"], ["frame1x1.txt", "y.png"]])
def test_a_number_is_never_a_part_of_a_longer_one(match, files):
    with pytest.raises(PairError, match="no image in it has the name of a pair, such as 1 "):
        match(files, ["1.png", "2.png"], ["1.png", "2.png"])
