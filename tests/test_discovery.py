"""Finding pairs: the folders of each data set as downloaded are told apart by their names, side a always first."""

import unicodedata

import pytest

from mambadfuse.data.discovery import find_pairs, find_sets, scan
from mambadfuse.data.issues import notes, problems
from mambadfuse.data.pairs import PairError

LAYOUTS = {
    "authors, infrared-visible": ("trainsets/VIR/IR", "trainsets/VIR/VI_Y", "ivf", "train"),
    "authors, CT": ("testsets/CT-MRI/MRI", "testsets/CT-MRI/CT", "ct-mri", "test"),
    "authors, PET": ("valsets/PET-MRI/MRI", "valsets/PET-MRI/PET_Y", "pet-mri", "val"),
    "authors, SPECT": ("trainsets/SPECT-MRI/MRI", "trainsets/SPECT-MRI/SPECT_Y", "spect-mri", "train"),
    "MSRS": ("test/ir", "test/vi", "ivf", "test"),
    "RoadScene": ("cropinfrared", "crop_LR_visible", "ivf", "all"),
    "M3FD": ("M3FD_Fusion/Ir", "M3FD_Fusion/Vis", "ivf", "all"),
    "M3FD by scene": ("Challenge/Beach/Ir", "Challenge/Beach/Vis", "ivf", "all"),
    "LLVIP": ("infrared/train", "visible/train", "ivf", "train"),
    "TNO": ("tank/IR", "tank/VIS", "ivf", "all"),
    "the kit": ("spect-mri/val/mri", "spect-mri/val/spect", "spect-mri", "val"),
    "LLVIP, validation": ("LLVIP/infrared/val", "LLVIP/visible/val", "ivf", "val"),
    "KAIST": ("set00/V000/lwir", "set00/V000/visible", "ivf", "all"),
    "CVC-14": ("Day/FIR/Train/FramesPos", "Day/Visible/Train/FramesPos", "ivf", "train"),
    "FLIR": ("FLIR_ADAS/thermal_8_bit", "FLIR_ADAS/RGB", "ivf", "all"),
    "FLIR, second version": (
        "flir2/images_thermal_train/data",
        "flir2/images_rgb_train/data",
        "ivf",
        "train",
    ),
    "DroneVehicle": ("train2/trainimgr", "train2/trainimg", "ivf", "train"),
    "VT5000": ("VT5000/T", "VT5000/RGB", "ivf", "all"),
    "near infrared": ("country/nir", "country/rgb", "ivf", "all"),
    "colour": ("aerial/inf", "aerial/colour", "ivf", "all"),
    "images": ("INO/thermal_images", "INO/Color_Images", "ivf", "all"),
    "Harvard": ("AIDS/MR-GAD", "AIDS/SPECT-Tc", "spect-mri", "all"),
    "two levels below the side": ("ir/night/rain", "vi/night/rain", "ivf", "all"),
}


@pytest.fixture
def fill(tmp_path):
    def fill_folder(*files):
        for file in files:
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return tmp_path

    return fill_folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_known_layouts(fill, layout):
    a, b, task, split = LAYOUTS[layout]
    root = fill(f"{a}/1.png", f"{b}/1.jpg", "labels/1.txt", "README.md")
    (found,) = find_sets(root)
    assert (found.folder_a, found.folder_b) == (root / a, root / b)
    assert (found.task, found.split) == (task, split)
    assert [pair.name for pair in found.pairs] == ["1"]


def test_all_sets_below_one_root_in_the_order_of_their_paths(fill):
    root = fill(*(f"{folder}/1.png" for a, b, *_ in LAYOUTS.values() for folder in (a, b)))
    found = find_sets(str(root))
    assert len(found) == len(LAYOUTS)
    assert {(str(s.folder_a.relative_to(root)).replace("\\", "/"), s.task, s.split) for s in found} == {
        (a, task, split) for a, _, task, split in LAYOUTS.values()
    }


def test_a_folder_with_partners_of_two_kinds_is_in_two_sets(fill):
    root = fill("MRI/1.png", "CT/1.png", "PET/1.png")
    assert {found.task for found in find_sets(root)} == {"ct-mri", "pet-mri"}


def test_splits_in_the_names_of_folders_stay_apart(fill):
    sides = ("thermal", "rgb")
    root = fill(*(f"images_{side}_{split}/1.png" for side in sides for split in ("train", "val")))
    assert [(found.split, found.folder_b.name) for found in find_sets(root)] == [
        ("train", "images_rgb_train"),
        ("val", "images_rgb_val"),
    ]


def test_doubtful_names_of_folders_count_only_beside_a_partner(fill):
    root = fill("ir/1.png", "vi/1.png", "T/9.png", "v/other/9.png", "nir/1.png", "c.png")
    (found,), issues = scan(root)
    assert [pair.name for pair in found.pairs] == ["1"]
    assert {issue.subject for issue in notes(issues)} == {
        root,
        root / "T",
        root / "v" / "other",
        root / "nir",
    }
    assert problems(issues) == ()


def test_two_folders_of_one_side_are_two_partners(fill):
    root = fill("thermal/1.png", "rgb/1.png", "color/1.png", "visible/1.png")
    with pytest.raises(PairError, match="has two partners"):
        find_pairs(root)


@pytest.mark.parametrize("below", ["night", "night/rain", "train"])
def test_images_in_folders_and_in_their_sub_folders_are_paired_once(fill, below):
    root = fill("ir/1.png", "vi/1.png", f"ir/{below}/2.png", f"vi/{below}/2.png")
    (found,) = find_sets(root)
    assert [pair.name for pair in found.pairs] == ["1", f"{below}/2"]
    assert [pair.name for pair in find_pairs(root).pairs] == ["ir/1", f"ir/{below}/2"]


def test_sub_folders_whose_images_have_no_partner_leave_the_other_pairs_alone(fill):
    root = fill("ir/1.png", "vi/1.png", "ir/old/8.png", "vi/old/9.png", "ir/thumbs/1.png")
    found = find_pairs(root)
    assert [pair.name for pair in found.pairs] == ["ir/1"]
    alone = {root / "ir" / "old" / "8.png", root / "vi" / "old" / "9.png", root / "ir" / "thumbs" / "1.png"}
    assert {issue.subject for issue in problems(found.issues)} == alone


def test_linked_sub_folders_are_paired_beside_the_folders_that_hold_the_links(fill, tmp_path_factory):
    root = fill("ir/1.png", "vi/1.png")
    for side in ("ir", "vi"):
        elsewhere = tmp_path_factory.mktemp(side)
        (elsewhere / "2.png").write_bytes(b"x")
        (root / side / "night").symlink_to(elsewhere)
    assert [pair.name for pair in find_pairs(root).pairs] == ["ir/1", "ir/night/2"]


def test_a_sub_folder_may_have_its_partner_elsewhere(fill):
    root = fill("ir/1.png", "vi/1.png", "ir/train/2.png", "images_rgb_train/2.png")
    assert [pair.name for pair in find_pairs(root).pairs] == ["ir/1", "ir/train/2"]


def test_the_root_itself_may_name_the_split(fill):
    root = fill("msrs/train/ir/1.png", "msrs/train/vi/1.png")
    (found,) = find_sets(root / "msrs" / "train")
    assert found.split == "train"


def test_two_spellings_of_one_unicode_folder_belong_together(fill):
    root = fill(
        *(
            f"{side}/{unicodedata.normalize(form, 'Zürich')}/é.png"
            for side, form in (("ir", "NFC"), ("vi", "NFD"))
        )
    )
    (found,) = find_sets(root)
    assert found.pairs[0].name == "é"


def test_hidden_folders_are_passed_over_and_links_are_followed_but_not_in_circles(fill, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "1.png").write_bytes(b"x")
    root = fill("ir/1.png", ".cache/ir/1.png")
    (root / "vi").symlink_to(elsewhere)
    (root / "ir" / "round").symlink_to(root)
    (found,) = find_sets(root)
    assert found.folder_b == root / "vi"


TNO_ARCHIVE = {
    "tank": "LWIR.tif Vis.tif",
    "Athena_images/2_men_in_front_of_house": "IR_meting003_g.bmp VIS_meting003_r.bmp",
    "Athena_images/APC_2/view_1": "1_fk_ge_03_005.bmp 2_fk_ge_03_005.bmp",
    "Athena_images/bunker": "IR_bunker_g.bmp bunker_r.bmp VIS_bunker-rg.bmp",
    "Athena_images/airplane_in_trees": "ir.bmp vis.bmp",
    "Triclobs_images/Marne_11": "Marne_11_II.bmp Marne_11_IR.bmp Marne_11_Vis.bmp Marne_11_REF.bmp",
    "Triclobs_images/Balls": "NIR.bmp VIS.bmp",
    "Triclobs_images/REFERENCES": "Toet2014.pdf",
    "DHV_images": "README.txt",
    "DHV_images/wall": "IR_163rad.bmp NIR_163dhvG.BMP VIS_163dhvR.BMP",
    "DHV_images/Fire_sequence/part_1/thermal": "RAD2.bmp RAD10.bmp",
    "DHV_images/Fire_sequence/part_1/dhv": "DHV2.bmp DHV10.bmp",
    "DHV_images/Fire_sequence/part_2": "colfuse.m",
    "DHV_images/Fire_sequence/part_2/rad": "RADheli0.bmp",
    "DHV_images/Fire_sequence/part_2/dhv": "DHVheli0.bmp",
    "FEL_images/Nato_camp_sequence/thermal": "1800i.bmp 1801i.bmp",
    "FEL_images/Nato_camp_sequence/visual": "1800v.bmp 1801v.bmp",
}


def test_the_archive_of_tno(fill):
    root = fill(*(f"{folder}/{name}" for folder, names in TNO_ARCHIVE.items() for name in names.split()))
    *sequences, scenes = find_sets(root)
    assert [(len(found.pairs), found.folder_b.name) for found in sequences] == [
        (2, "dhv"),
        (1, "dhv"),
        (2, "visual"),
    ]
    assert [(pair.a.name, pair.b.name) for pair in sequences[0].pairs] == [
        ("RAD10.bmp", "DHV10.bmp"),
        ("RAD2.bmp", "DHV2.bmp"),
    ]
    assert (scenes.task, scenes.split, scenes.folder_a, scenes.folder_b) == ("ivf", "all", root, root)
    assert [(pair.a.name, pair.b.name) for pair in scenes.pairs] == [
        ("IR_meting003_g.bmp", "VIS_meting003_r.bmp"),
        ("ir.bmp", "vis.bmp"),
        ("IR_bunker_g.bmp", "bunker_r.bmp"),
        ("IR_163rad.bmp", "VIS_163dhvR.BMP"),
        ("NIR.bmp", "VIS.bmp"),
        ("Marne_11_IR.bmp", "Marne_11_Vis.bmp"),
        ("LWIR.tif", "Vis.tif"),
    ]
    assert {note.subject.name for note in notes(scenes.issues)} == {
        "VIS_bunker-rg.bmp", "NIR_163dhvG.BMP", "NIR.bmp", "Marne_11_II.bmp", "Marne_11_REF.bmp",
    }  # fmt: skip
    assert problems(scenes.issues) == ()
    _, issues = scan(root)
    assert [issue.subject for issue in notes(issues)] == [root / "Athena_images" / "APC_2" / "view_1"]


def test_scenes_of_two_splits_are_two_sets(fill):
    root = fill("train/010001_ir.jpg", "train/010001_vi.jpg", "test/190001_ir.jpg", "test/190001_vi.jpg")
    assert [(found.split, found.pairs[0].name) for found in find_sets(root)] == [
        ("test", "test/190001_ir"),
        ("train", "train/010001_ir"),
    ]


def test_scenes_without_any_pair_are_an_error_that_names_one(fill):
    with pytest.raises(
        PairError, match=r"IR1\.png: has no partner that could be identified among IR1, IR2, VIS3"
    ):
        find_sets(fill("IR1.png", "IR2.png", "VIS3.png"))


def test_a_folder_without_partner_is_named_with_what_was_expected(fill):
    root = fill("train/ir/1.png", "train/vi/1.png", "test/PET_Y/1.png")
    sets, (alone,) = scan(root)
    assert [found.split for found in sets] == ["train"]
    assert (alone.subject, alone.severity) == (root / "test" / "PET_Y", "problem")
    assert alone.reason.endswith("one of mri in place of PET_Y")
    with pytest.raises(PairError, match="PET_Y: has no partner"):
        find_sets(root)


def test_an_empty_folder_is_an_error_that_names_it(fill):
    root = fill("ir/1.png")
    (root / "vi").mkdir()
    with pytest.raises(PairError, match="vi: the folder holds no images"):
        find_sets(root)


def test_no_known_folder_no_folder_no_root(fill):
    root = fill("left/1.png", "right/1.png")
    with pytest.raises(PairError, match=r"no folder below it has a known name \(ir, "):
        find_sets(root)
    with pytest.raises(PairError, match="there is no such folder"):
        find_sets(root / "nowhere")
    with pytest.raises(PairError, match=r"1\.png: is not a folder"):
        find_sets(root / "left" / "1.png")


def named(found):
    return [(pair.name, pair.a.name, pair.b.name) for pair in found.pairs]


def test_one_folder_alone_or_twice_is_searched_for_both_sides(fill):
    root = fill(*(f"one/{side}{k}.png" for side in ("IR", "VIS") for k in (1, 2, 3))) / "one"
    found = find_pairs(root)
    assert named(found) == [(f"IR{k}", f"IR{k}.png", f"VIS{k}.png") for k in (1, 2, 3)]
    assert (found.task, found.folder_a, found.folder_b, found.issues) == ("ivf", root, root, ())
    assert found == find_pairs(str(root), root) == find_pairs(root, root / ".." / "one")


def test_pairs_below_one_folder_are_named_by_the_path_of_side_a(fill):
    root = fill("day/ir/1.png", "day/vi/1.png", "lake/IR_lake.png", "lake/VIS_lake.png", "left/1.png")
    found = find_pairs(root)
    assert [pair.name for pair in found.pairs] == ["day/ir/1", "lake/IR_lake"]
    (skipped,) = problems(found.issues)
    assert skipped.subject == root / "left"
    assert skipped.reason.startswith("not used: neither its name nor the names of its images")


def test_two_folders_are_paired_by_name_whatever_they_are_called(fill):
    root = fill("x/1.png", "y/1.png", "ir/1.png", "vi/1.png")
    assert named(find_pairs(root / "x", root / "y")) == [("1", "1.png", "1.png")]
    assert find_pairs(root / "x", root / "y").task is None
    assert find_pairs(root / "ir", root / "vi").task == "ivf"


def test_a_file_is_never_paired_with_itself(fill):
    root = fill("a/1.png", "b/2.png")
    (root / "b" / "1.png").symlink_to(root / "a" / "1.png")
    with pytest.raises(PairError, match=r"1\.png: is the same file as its partner .*b.1\.png"):
        find_pairs(root / "a", root / "b")
    (root / "a" / "2.png").write_bytes(b"x")
    found = find_pairs(root / "a", root / "b")
    assert named(found) == [("2", "2.png", "2.png")]
    assert [issue.subject for issue in problems(found.issues)] == [root / "a" / "1.png"]
    with pytest.raises(PairError, match="a: no folder below it has a known name"):
        find_pairs(root / "a", root / "a")


def test_one_folder_of_several_tasks_is_refused(fill):
    root = fill("MRI/1.png", "CT/1.png", "PET/1.png")
    with pytest.raises(
        PairError, match="holds pairs of ct-mri and pet-mri: give the two folders of one task"
    ):
        find_pairs(root)


@pytest.mark.parametrize("second", ["visible", "vi_y"])
def test_a_folder_with_two_partners_of_one_kind_is_ambiguous(tmp_path, fill, second):
    fill("ir/1.png", "vi/1.png", f"{second}/1.png")
    with pytest.raises(PairError, match=r"has two partners, vi.1\.png and " + second):
        find_pairs(tmp_path)


def test_names_below_one_folder_are_normalised(tmp_path, fill):
    name = unicodedata.normalize("NFD", "é1.png")
    fill(f"ir/{name}", f"vi/{name}")
    assert [pair.name for pair in find_pairs(tmp_path).pairs] == [unicodedata.normalize("NFC", "ir/é1")]


@pytest.mark.parametrize(("a", "b"), ["TW", ("lwir", "rgb"), ("ir", "eo"), ("热红外", "可见光")])
def test_one_folder_of_names_that_only_hint_at_the_side(fill, a, b):
    root = fill(*(f"one/DJI_{k}_{side}.JPG" for side in (a, b) for k in (1, 2, 13))) / "one"
    found = find_pairs(root)
    assert {(pair.a.name, pair.b.name) for pair in found.pairs} == {
        (f"DJI_{k}_{a}.JPG", f"DJI_{k}_{b}.JPG") for k in (1, 2, 13)
    }
    assert (found.task, found.issues) == ("ivf", ())


@pytest.mark.parametrize(
    ("a", "b"), [("红外", "可见光"), ("thermal", "rgb"), ("MR-T2", "SPECT-Tc"), ("T1", "FDG")]
)
def test_folders_named_in_any_known_way(fill, a, b):
    root = fill(f"train/{a}/1.png", f"train/{b}/1.png")
    assert named(find_pairs(root)) == [(f"train/{a}/1", "1.png", "1.png")]


def test_pairs_that_were_found_are_returned_as_they_are(fill):
    found = find_pairs(fill("ir/1.png", "vi/1.png"))
    assert find_pairs(found) is found
