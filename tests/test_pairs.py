"""Pairs: matched by name, and every file that is not matched is named with the reason."""

import unicodedata

import pytest

from mambadfuse.data.issues import problems
from mambadfuse.data.pairs import PairError, match_folders


@pytest.fixture
def folders(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    b.mkdir()

    def fill(names_a, names_b):
        for folder, names in ((a, names_a), (b, names_b)):
            for name in names:
                (folder / name).write_bytes(b"x")
        return a, b

    return fill


def test_pairs_come_in_the_order_of_their_names_whatever_their_type(folders):
    a, b = folders(["2.png", "10.TIF", "x y.bmp"], ["10.jpg", "x y.png", "2.PNG"])
    found = match_folders(a, str(b))
    assert [(p.name, p.a.name, p.b.name) for p in found.pairs] == [
        ("10", "10.TIF", "10.jpg"),
        ("2", "2.png", "2.PNG"),
        ("x y", "x y.bmp", "x y.png"),
    ]
    assert found.issues == ()


def test_two_spellings_of_one_unicode_name_match(folders):
    name = "Zürich é"
    a, b = folders(
        [unicodedata.normalize("NFC", name) + ".png"], [unicodedata.normalize("NFD", name) + ".png"]
    )
    (pair,) = match_folders(a, b).pairs
    assert pair.name == unicodedata.normalize("NFC", name)
    assert pair.a.exists()
    assert pair.b.exists()


def test_what_is_hidden_or_left_by_the_system_is_passed_over(folders):
    a, b = folders(["1.png", ".2.png", ".DS_Store", "Thumbs.db"], ["1.png", "desktop.ini"])
    (a / "3.png").mkdir()
    (a / ".cache").mkdir()
    (a / ".cache" / "4.png").write_bytes(b"x")
    found = match_folders(a, b)
    assert [pair.name for pair in found.pairs] == ["1"]
    assert found.issues == ()


def test_pictures_in_sub_folders_go_by_their_path(folders):
    a, b = folders(["1.png"], ["1.png"])
    for path in (a / "night" / "1.png", b / "night" / "1.jpg", a / "day" / "1.png"):
        path.parent.mkdir()
        path.write_bytes(b"x")
    found = match_folders(a, b)
    assert [(pair.name, pair.b) for pair in found.pairs] == [
        ("1", b / "1.png"),
        ("night/1", b / "night" / "1.jpg"),
    ]
    assert [issue.subject for issue in found.issues] == [a / "day" / "1.png"]


def test_names_that_differ_in_the_word_for_the_side_alone_go_together_under_that_of_side_a(folders):
    a, b = folders(
        ["IR_1.png", "1800i.bmp", "3.png", "MRI_4.png"], ["VIS_1.png", "1800v.bmp", "3.png", "ct 4.png"]
    )
    found = match_folders(a, b)
    assert [(pair.name, pair.b.name) for pair in found.pairs] == [
        ("1800i", "1800v.bmp"),
        ("3", "3.png"),
        ("IR_1", "VIS_1.png"),
        ("MRI_4", "ct 4.png"),
    ]
    assert found.issues == ()


def test_a_partner_that_is_not_the_only_one_or_lies_elsewhere_is_none(folders):
    a, b = folders(
        ["0.png", "IR_1.png", "IR_2.png", "night.png"], ["0.png", "VIS_1.png", "vis1.png", "02.png"]
    )
    (a / "day").mkdir()
    (a / "day" / "IR_3.png").write_bytes(b"x")
    (b / "VIS_3.png").write_bytes(b"x")
    found = match_folders(a, b)
    assert [pair.name for pair in found.pairs] == ["0"]
    assert len(problems(found.issues)) == 8


def test_every_file_without_a_pair_is_an_issue_with_a_reason(folders):
    a, b = folders(
        ["1.png", "only_a.png", "twin.png", "twin.jpg"], ["1.png", "only_b.png", "twin.png", "r.txt"]
    )
    found = match_folders(a, b)
    assert [pair.name for pair in found.pairs] == ["1"]
    reasons = {issue.subject: issue.reason for issue in problems(found.issues)}
    assert set(reasons) == {
        a / "only_a.png", a / "twin.png", a / "twin.jpg", b / "only_b.png", b / "twin.png", b / "r.txt",
    }  # fmt: skip
    assert "no partner" in reasons[a / "only_a.png"]
    assert "no partner" in reasons[b / "only_b.png"]
    assert "twin.jpg and twin.png" in reasons[a / "twin.png"]
    assert "no partner" in reasons[b / "twin.png"]
    assert "is not an image file" in reasons[b / "r.txt"]


def test_no_pair_at_all(folders):
    a, b = folders(["1.png"], ["2.png"])
    with pytest.raises(PairError, match="no image in it has the name of one in") as error:
        match_folders(a, b)
    assert str(a) in str(error.value)
    assert str(b) in str(error.value)


def test_empty_missing_and_no_folder(folders, tmp_path):
    a, b = folders(["1.png"], [])
    with pytest.raises(PairError, match="b: the folder holds no images"):
        match_folders(a, b)
    with pytest.raises(PairError, match="c: there is no such folder"):
        match_folders(a, tmp_path / "c")
    with pytest.raises(PairError, match=r"1\.png: is not a folder"):
        match_folders(a / "1.png", b)


@pytest.mark.parametrize(
    ("name_a", "name_b"),
    [
        ("DJI_{}_T.JPG", "DJI_{}_W.JPG"), ("{}-lwir.png", "{}-rgb.png"), ("红外{}.png", "可见光{}.png"),
        ("{}_nir.tiff", "{}_rgb.tiff"), ("{}_inf.png", "{}_colour.png"), ("{}_T1c.png", "{}_CT.png"),
        ("MR-T2_{}.png", "SPECT-Tc_{}.png"), ("T1.{}.png", "FDG.{}.png"), ("FLIR{}.png", "RGB{}.png"),
    ],
)  # fmt: skip
def test_words_that_could_mean_something_else_pair_where_nothing_else_does(folders, name_a, name_b):
    a, b = folders([name_a.format(k) for k in (1, 2, 12)], [name_b.format(k) for k in (1, 2, 12)])
    found = match_folders(a, b)
    assert {(pair.a.name, pair.b.name) for pair in found.pairs} == {
        (name_a.format(k), name_b.format(k)) for k in (1, 2, 12)
    }
    assert found.issues == ()


def test_equal_names_go_together_whatever_words_they_hold(folders):
    a, b = folders(["FLIR_1.png", "FLIR_2.png"], ["FLIR_1.jpg", "RGB_2.png", "FLIR_3.png"])
    assert [(pair.a.name, pair.b.name) for pair in match_folders(a, b).pairs] == [
        ("FLIR_1.png", "FLIR_1.jpg"),
        ("FLIR_2.png", "RGB_2.png"),
    ]


def test_a_hint_does_not_pair_two_images_of_one_side_or_of_two_tasks(folders):
    a, b = folders(["x_W.png", "y_T.png"], ["x_Z.png", "y_T1.png"])
    with pytest.raises(PairError, match="no image in it has the name of one in"):
        match_folders(a, b)


def test_several_possible_partners_are_listed_and_none_is_chosen(folders):
    a, b = folders(["DJI_1_T.jpg", "DJI_2_T.jpg"], ["DJI_1_W.jpg", "DJI_1_Z.jpg", "DJI_2_W.jpg"])
    found = match_folders(a, b)
    assert [pair.name for pair in found.pairs] == ["DJI_2_T"]
    reasons = [issue.reason for issue in problems(found.issues)]
    assert len(reasons) == 3
    assert reasons[0].endswith("which could be one of DJI_1_W, DJI_1_Z")
    (b / "DJI_2_W.jpg").unlink()
    with pytest.raises(PairError, match="could be one of DJI_1_T"):
        match_folders(a, b)


def test_shards_hold_each_pair_once(folders):
    names = [f"{k:02}.png" for k in range(11)]
    found = match_folders(*folders(names, names))
    for count in (1, 2, 3, 11):
        parts = [found.shard(part, count).pairs for part in range(1, count + 1)]
        assert sorted((pair for part in parts for pair in part), key=lambda pair: pair.name) == list(
            found.pairs
        )
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for part, count in ((0, 2), (3, 2), (1, 12)):
        with pytest.raises(ValueError, match=f"shard {part}/{count}: "):
            found.shard(part, count)


def test_a_partner_that_cannot_be_read_is_named_as_that_and_not_as_missing(folders):
    a, b = folders(["1.png", "2.png", "3.png"], ["1.heic", "2.png"])
    issues = {issue.subject: issue.reason for issue in match_folders(a, b).issues}
    assert issues[a / "1.png"].startswith(
        f"has no partner that can be used: {b / '1.heic'} is not an image file"
    )
    assert issues[a / "3.png"] == f"has no partner in {b}"


def test_a_folder_without_a_file_that_can_be_read_is_named_as_that(folders):
    with pytest.raises(PairError, match=r"b: none of its files can be used: 1\.heic is not an image file"):
        match_folders(*folders(["1.png"], ["1.heic"]))


@pytest.mark.parametrize("suffix", ["gif", "webp", "jp2", "j2k", "jpx", "JFIF", "jpe", "apng", "npy"])
def test_every_format_that_is_read_is_paired(folders, suffix):
    assert len(match_folders(*folders([f"1.{suffix}"], ["1.png"])).pairs) == 1


def test_one_of_two_names_may_say_no_side(folders):
    a, b = folders(
        ["1_thermal.png", "DJI_2_T.png", "3.png", "4.png"], ["1.png", "DJI_2.png", "3_vis.png", "4.png"]
    )
    found = match_folders(a, b)
    assert [(pair.a.name, pair.b.name) for pair in found.pairs] == [
        ("1_thermal.png", "1.png"),
        ("3.png", "3_vis.png"),
        ("4.png", "4.png"),
        ("DJI_2_T.png", "DJI_2.png"),
    ]
    assert found.issues == ()


def test_one_name_without_a_side_beside_two_with_one_is_an_error_that_lists_them(folders):
    a, b = folders(["1_thermal.png", "1_ir.png"], ["1.png"])
    with pytest.raises(
        PairError, match=r"1\.png: has no partner in .*a, which could be one of 1_ir, 1_thermal"
    ):
        match_folders(a, b)


def test_two_names_without_a_side_are_no_pair_unless_they_are_equal(folders):
    with pytest.raises(PairError, match="no image in it has the name of one in"):
        match_folders(*folders(["DJI 1.png"], ["dji_1.png"]))


@pytest.mark.parametrize(
    ("name_a", "name_b"),
    [
        ("i{:06}.jpg", "v{:06}.jpg"),
        ("IRX_{:04}.tiff", "MAX_{:04}.JPG"),
        ("c{:02}_1.tif", "c{:02}_2.tif"),
        ("{}_A.png", "{}_B.png"),
        ("cam0-{} x.png", "cam1-{} y.png"),
        ("{}.png", "{:04}.png"),
        ("i{:06}.jpg", "v{}.png"),
    ],
)
def test_names_of_two_folders_may_differ_in_what_each_folder_has_in_common(folders, caplog, name_a, name_b):
    a, b = folders([name_a.format(k) for k in (1, 2, 10)], [name_b.format(k) for k in (1, 2, 3, 10)])
    found = match_folders(a, b)
    assert {(pair.a, pair.b) for pair in found.pairs} == {
        (a / name_a.format(k), b / name_b.format(k)) for k in (1, 2, 10)
    }
    (said,) = caplog.messages
    assert said.startswith(f"{a}: paired with {b} by what the names of each folder do not share, ")
    assert [issue.subject for issue in problems(found.issues)] == [b / name_b.format(3)]


@pytest.mark.parametrize(
    ("names_a", "names_b"),
    [
        (["i1.png"], ["v1.png"]),
        (["i1.png", "i2.png"], ["v1.png", "v3.png"]),
        (["i1.png", "x2.png"], ["v1.png", "v2.png"]),
        (["i11.png", "i12.png"], ["v1.png", "v2.png"]),
        (["i.png", "i1.png"], ["v.png", "v1.png"]),
        (["i1.png", "i01.png"], ["v1.png", "v2.png"]),
    ],
)
def test_where_that_leaves_names_apart_nothing_is_guessed(folders, names_a, names_b):
    with pytest.raises(PairError, match=r"no image in it has the name of one in .*\(--pairs-file\)"):
        match_folders(*folders(names_a, names_b))
