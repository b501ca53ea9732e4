"""Scenes: both pictures in one folder, told apart by their names; what cannot be told is not guessed."""

import pytest

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


def pairs(matching):
    return [(pair.name, pair.a.name, pair.b.name) for pair in matching.pairs]


def said(remarks_or_left_out):
    return {entry.path.name for entry in remarks_or_left_out}


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
    matching = match(folder(*(f"Triclobs_images/scene/{name}" for name in names)))
    infrared, visible, *others = names
    name = f"Triclobs_images/scene/{infrared.rpartition('.')[0]}"
    assert pairs(matching) == [(name, infrared, visible)]
    assert matching.left_out == ()
    assert said(matching.remarks) == set(others) | ({"NIR.bmp"} & set(names))


def test_many_scenes_in_one_folder_go_by_the_rest_of_their_names(folder):
    names = (f"{side}{k}.png" for side in ("IR", "VIS") for k in range(1, 12))
    matching = match(folder(*names, "1800i.bmp", "1800v.bmp", "Jeep_IR.bmp", "Jeep_Vis.bmp"))
    assert ("IR11", "IR11.png", "VIS11.png") in pairs(matching)
    assert ("1800i", "1800i.bmp", "1800v.bmp") in pairs(matching)
    assert ("Jeep_IR", "Jeep_IR.bmp", "Jeep_Vis.bmp") in pairs(matching)
    assert len(matching.pairs) == 13
    assert matching.left_out == matching.remarks == ()


def test_thermal_comes_before_near_infrared_and_both_are_remarked_on(folder):
    matching = match(folder("1/NIR.bmp", "1/VIS.bmp", "2/NIR.bmp", "2/LWIR.bmp", "2/VIS.bmp"))
    assert [a for _, a, _ in pairs(matching)] == ["NIR.bmp", "LWIR.bmp"]
    texts = {remark.path.parent.name: remark.text for remark in matching.remarks}
    assert "used as there is no thermal" in texts["1"]
    assert "not used as there is a thermal" in texts["2"]


def test_two_possible_partners_are_named_and_none_is_chosen(folder):
    matching = match(folder("IR1.png", "VIS1.png", "VIS_1.png", "IR2.png", "VIS2.png"))
    assert pairs(matching) == [("IR2", "IR2.png", "VIS2.png")]
    assert said(matching.left_out) == {"IR1.png", "VIS1.png", "VIS_1.png"}
    assert "could be told among IR1, VIS1, VIS_1" in matching.left_out[0].reason


def test_a_picture_without_partner_is_left_out(folder):
    matching = match(folder("IR1.png", "VIS1.png", "IR2.png", "NIR3.png"))
    assert said(matching.left_out) == {"IR2.png", "NIR3.png"}
    assert any("has no partner in its folder" in left.reason for left in matching.left_out)


def test_names_that_say_no_side_and_what_is_no_picture_are_remarked_on(folder):
    """Scores, weights and thumbnails may lie where the pictures do."""
    matching = match(folder("IR1.png", "VIS1.png", "fused1.png", ".hidden_IR.png", "scores.csv", "Thumbs.db"))
    assert said(matching.remarks) == {"fused1.png", "scores.csv", "Thumbs.db"}
    assert matching.left_out == ()


def test_two_files_of_one_name_are_in_no_pair(folder):
    matching = match(folder("IR.png", "IR.bmp", "VIS.png"))
    assert pairs(matching) == []
    assert said(matching.left_out) == {"IR.png", "IR.bmp", "VIS.png"}


def test_tasks_are_those_whose_two_sides_are_named(folder):
    root = folder("MRI_1.png", "ct_1.png", "PET_1.png", "one/IR_1.png", "none/2_fk_ge_03_005.bmp")
    assert tasks_in(root) == ["ct-mri", "pet-mri"]
    assert tasks_in(root / "one") == tasks_in(root / "none") == []
    matching = match_within(root, [root], "pet-mri")
    assert pairs(matching) == [("MRI_1", "MRI_1.png", "PET_1.png")]
    assert matching.left_out == matching.remarks == ()
