"""Single folders: both images in one folder, told apart by their names; what cannot be told is not guessed."""

import pytest

from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.issues import notes, problems
from mambadfuse.data.pairs import PairError
from mambadfuse.data.single_folder import match_within, tasks_in


@pytest.fixture
def folder(tmp_path):
    def fill(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"x")
        return tmp_path

    return fill


def match(root, task="ivf"):
    return match_within(root, sorted({path.parent for path in root.rglob("*.*")}), task)


def pairs(found):
    return [(pair.name, pair.a.name, pair.b.name) for pair in found.pairs]


def names_in(issues):
    return {issue.subject.name for issue in issues}


@pytest.mark.parametrize(
    "names",
    [
        ("IR_meting003_g.bmp", "VIS_meting003_r.bmp"),
        ("LWIR.tif", "Vis.tif"),
        ("IR_hei_vis_g.bmp", "VIS_hei_vis_r.bmp"),
        ("Marne_11_IR.bmp", "Marne_11_Vis.bmp", "Marne_11_II.bmp", "Marne_11_REF.bmp"),
        ("IR_bunker_g.bmp", "bunker_r.bmp", "VIS_bunker-rg.bmp"),
        ("IR_37rad.bmp", "VIS_37dhvR.BMP", "NIR_37dhvG.BMP"),
        ("B_LWIR.tif", "R_Vis.tif", "G_NIR.tif"),
        (
            "c_LWIR-MarnehNew_24RGB_1110.tif",
            "a_VIS-MarnehNew_24RGB_1110.tif",
            "b_NIR-MarnehNew_24RGB_1110.tif",
        ),
        ("NIR.bmp", "VIS.bmp"),
    ],
)
def test_a_folder_of_the_archive_is_one_scene(folder, names):
    found = match(folder(*(f"Triclobs_images/scene/{name}" for name in names)))
    infrared, visible, *others = names
    name = f"Triclobs_images/scene/{infrared.rpartition('.')[0]}"
    assert pairs(found) == [(name, infrared, visible)]
    assert problems(found.issues) == ()
    assert names_in(notes(found.issues)) == set(others) | ({"NIR.bmp"} & set(names))


def test_many_scenes_in_one_folder_go_by_the_rest_of_their_names(folder):
    names = (f"{side}{k}.png" for side in ("IR", "VIS") for k in range(1, 12))
    found = match(folder(*names, "1800i.bmp", "1800v.bmp", "Jeep_IR.bmp", "Jeep_Vis.bmp"))
    assert ("IR11", "IR11.png", "VIS11.png") in pairs(found)
    assert ("1800i", "1800i.bmp", "1800v.bmp") in pairs(found)
    assert ("Jeep_IR", "Jeep_IR.bmp", "Jeep_Vis.bmp") in pairs(found)
    assert len(found.pairs) == 13
    assert found.issues == ()


def test_thermal_comes_before_near_infrared_and_both_have_a_note(folder):
    found = match(folder("1/NIR.bmp", "1/VIS.bmp", "2/NIR.bmp", "2/LWIR.bmp", "2/VIS.bmp"))
    assert [a for _, a, _ in pairs(found)] == ["NIR.bmp", "LWIR.bmp"]
    texts = {note.subject.parent.name: note.reason for note in notes(found.issues)}
    assert "used as there is no thermal" in texts["1"]
    assert "not used as there is a thermal" in texts["2"]


def test_two_possible_partners_are_named_and_none_is_chosen(folder):
    found = match(folder("IR1.png", "VIS1.png", "VIS_1.png", "IR2.png", "VIS2.png"))
    assert pairs(found) == [("IR2", "IR2.png", "VIS2.png")]
    assert names_in(problems(found.issues)) == {"IR1.png", "VIS1.png", "VIS_1.png"}
    assert "could be identified among IR1, VIS1, VIS_1" in problems(found.issues)[0].reason


def test_a_picture_without_partner_is_a_problem(folder):
    found = match(folder("IR1.png", "VIS1.png", "IR2.png", "NIR3.png"))
    assert names_in(problems(found.issues)) == {"IR2.png", "NIR3.png"}
    assert any("has no partner in its folder" in issue.reason for issue in problems(found.issues))


def test_names_that_say_no_side_and_what_is_no_picture_have_a_note(folder):
    """Scores, weights and thumbnails may lie where the images do."""
    found = match(folder("IR1.png", "VIS1.png", "fused1.png", ".hidden_IR.png", "scores.csv", "Thumbs.db"))
    assert names_in(notes(found.issues)) == {"fused1.png", "scores.csv", "Thumbs.db"}
    assert problems(found.issues) == ()


def test_two_files_of_one_name_are_in_no_pair(folder):
    found = match(folder("IR.png", "IR.bmp", "VIS.png"))
    assert pairs(found) == []
    assert names_in(problems(found.issues)) == {"IR.png", "IR.bmp", "VIS.png"}


def test_tasks_are_those_whose_two_sides_are_named(folder):
    root = folder("MRI_1.png", "ct_1.png", "PET_1.png", "one/IR_1.png", "none/2_fk_ge_03_005.bmp")
    assert tasks_in(root) == ["ct-mri", "pet-mri"]
    assert tasks_in(root / "one") == tasks_in(root / "none") == []
    found = match_within(root, [root], "pet-mri")
    assert pairs(found) == [("MRI_1", "MRI_1.png", "PET_1.png")]
    assert found.issues == ()


def test_a_link_is_not_paired_with_what_it_leads_to(folder):
    root = folder("VIS_1.png", "IR_2.png", "VIS_2.png")
    (root / "IR_1.png").symlink_to("VIS_1.png")
    found = match(root)
    assert [name for name, *_ in pairs(found)] == ["IR_2"]
    assert ["is the same file as its partner" in issue.reason for issue in problems(found.issues)] == [True]


@pytest.mark.parametrize(
    "sides", [("nir", "rgb"), ("inf", "color"), ("thermo", "gray"), ("T", "C"), ("ir", "co")]
)
def test_names_of_the_field_in_one_folder(folder, sides):
    a, b = (f"{{}}_{side}.png" for side in sides)
    found = match(folder(*(name.format(k) for name in (a, b) for k in (1, 2))))
    assert [(x, y) for _, x, y in pairs(found)] == [(a.format(k), b.format(k)) for k in (1, 2)]
    assert problems(found.issues) == ()


@pytest.mark.parametrize(
    ("names", "task"),
    [
        (("1_thermal.png", "1.png"), "ivf"),
        (("1_ir.jpg", "1.png"), "ivf"),
        (("DJI_0001_T.JPG", "DJI_0001.JPG"), "ivf"),
        (("1.png", "1_vis.png"), "ivf"),
        (("1.png", "1_ct.png"), "ct-mri"),
        (("1.png", "1_fdg.png"), "pet-mri"),
    ],
)
def test_the_only_other_image_of_a_scene_needs_no_word(folder, names, task):
    root = folder(*names)
    assert tasks_in(root) == [task]
    found = match(root, task)
    assert [pair[1:] for pair in pairs(found)] == [names]
    assert found.issues == ()


def test_a_word_on_both_sides_comes_before_one_on_one_side(folder):
    found = match(folder("1_thermal.png", "1_w.png", "1.png"))
    assert pairs(found) == [("1_thermal", "1_thermal.png", "1_w.png")]
    found = match(folder("IR_2.png", "VIS_2.png", "3_ir.png", "3.png"))
    assert pairs(found) == [("3_ir", "3_ir.png", "3.png"), ("IR_2", "IR_2.png", "VIS_2.png")]
    assert names_in(problems(found.issues)) == {"1_thermal.png"}


def test_an_image_of_another_scene_is_no_partner(folder):
    assert tasks_in(folder("1_thermal.png", "photo.png")) == []


@pytest.mark.parametrize(
    ("names", "readings"),
    [
        (("1_mri.png", "1.png"), ["1, as CT or PET or SPECT, beside 1_mri"]),
        (("1_ir.png", "1_thermal.png", "1.png"), ["1, as visible, beside 1_ir or 1_thermal"]),
        (("DJI_1_T.png", "DJI_1_W.png", "DJI_1_Z.png"), ["DJI_1_W or DJI_1_Z"]),
        (("1_mr.png", "1_pet.png", "1_fdg.png"), ["1_fdg or 1_pet"]),
        (("DJI_1.png", "dji-1.png", "dji_1_ir.png"), ["DJI_1 or dji-1, as visible, beside dji_1_ir"]),
    ],
)
def test_several_readings_are_an_error_that_lists_them(folder, names, readings):
    root = folder(*names)
    with pytest.raises(PairError) as raised:
        find_pairs(root)
    for reading in readings:
        assert f"could be paired with {reading}: name both sides" in str(raised.value)
