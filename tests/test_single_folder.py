"""Single folders: both images in one folder, told apart by their names; what cannot be told is not guessed."""

import pytest

from mambadfuse.data.issues import notes, problems
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
