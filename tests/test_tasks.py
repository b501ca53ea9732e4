"""Modalities: what a file name says of its image; the names are those of real data sets."""

import unicodedata

import pytest

from mambadfuse.data.tasks import (
    COMPOSITE,
    FOLDERS,
    HINTS,
    NEAR_INFRARED,
    TASKS,
    WORDS,
    Label,
    folders_of,
    modality_of_folder,
    read_folder_label,
    read_label,
    task_of,
)

NAMES = {
    "infrared": [
        "IR_meting003_g", "LWIR", "ir", "Farm_IR", "IR01", "IR_37rad", "B_LWIR", "RADheli0", "RAD10", "TankLWIR",
        "7400i", "c_LWIR-MarnehNew_24RGB_1110", "IR_hei_vis_g", "010001_ir", "thermal-3", "夜_IR",
    ],
    "visible": [
        "VIS_meting003_r", "Vis", "vis", "Farm_Vis", "Vis01", "VIS_37dhvR", "R_Vis", "DHVheli0", "DHV10", "TankVis",
        "7400v", "a_VIS-MarnehNew_24RGB_1110", "VIS_hei_vis_r", "010001_vi", "bunker_r", "夜_VIS",
    ],
    NEAR_INFRARED: ["NIR", "Farm_II", "NIR_37dhvG", "G_NIR", "b_NIR-MarnehNew_24RGB_1110"],
    COMPOSITE: ["VIS_bunker-rg", "meting012-1200_rg.bmp"],
    "mri": ["MRI_07", "case 3 mri"],
    "pet": ["pet07"],
    None: [
        "FLIR_00006", "2_fk_ge_03_005", "1_fk_ge_03_005", "Marne_11_REF", "RGB-MarnehNew_15RGB_603", "air", "Irma",
        "AIR", "visit", "VIDEO", "act", "rival", "00001D", "17", "",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("modality", "name"), [(kind, name) for kind, names in NAMES.items() for name in names]
)
def test_a_name_says_its_modality(modality, name):
    assert read_label(name).modality == modality


@pytest.mark.parametrize(
    ("a", "b", "scene"),
    [
        ("IR_meting003_g", "VIS_meting003_r", "meting003"),
        ("IR_meting012-1200_g", "VIS_meting012-1200_r", "meting012 1200"),
        ("IR_bunker_g", "bunker_r", "bunker"),
        ("IR_37rad", "VIS_37dhvR", "37"),
        ("Kaptein_1123_IR", "Kaptein_1123_Vis", "kaptein 1123"),
        ("RADheli12", "DHVheli12", "heli12"),
        ("1800i", "1800v", "1800"),
        ("IR20", "VIS20", "20"),
        ("LWIR", "Vis", ""),
        ("Straße MRI 1", "straße_ct_1", "strasse 1"),
    ],
)
def test_both_pictures_of_a_scene_name_it_alike(a, b, scene):
    assert read_label(a).scene == read_label(b).scene == scene


@pytest.mark.parametrize(
    ("a", "b", "scene", "sides"),
    [
        ("DJI_20240101_0001_T", "DJI_20240101_0001_W", "dji 20240101 0001", ("infrared", "visible")),
        ("DJI_0001_t", "DJI_0001_Z", "dji 0001", ("infrared", "visible")),
        ("MAX_0001_T", "MAX_0001_V", "max 0001", ("infrared", "visible")),
        ("1_lwir", "1_rgb", "1", ("infrared", "visible")),
        ("FLIR_07", "RGB_07", "07", ("infrared", "visible")),
        ("scene.3.thermal", "scene.3.optical", "scene 3", ("infrared", "visible")),
        ("iR 1", "eO 1", "1", ("infrared", "visible")),
        ("红外1", "可见光1", "1", ("infrared", "visible")),
        ("夜景_热红外", "夜景_可见光", "夜景", ("infrared", "visible")),
        ("FLIR_07_thermal", "FLIR_07_RGB", "07", ("infrared", "visible")),
        ("07_MR", "07_CT", "07", ("mri", "ct")),
        ("MR-T2_07", "SPECT-Tc_07", "07", ("mri", "spect")),
        ("T1 07", "FDG 07", "07", ("mri", "pet")),
        ("07-mri-t1", "07-pet-fdg", "07", ("mri", "pet")),
        ("07_T1c", "07_CT", "07", ("mri", "ct")),
        ("BraTS20_001_t1ce", "BraTS20_001_ncct", "brats20 001", ("mri", "ct")),
        ("07-MR-GAD", "07-SPECT-Tc99m", "07", ("mri", "spect")),
        ("FLIR_00002_PreviewData", "FLIR_00002_RGB", "00002", ("infrared", "visible")),
        ("00000000_ir", "00000000_co", "00000000", ("infrared", "visible")),
        ("set00_V000_I00000_lwir", "set00_V000_I00000_visible", "set00 v000 i00000", ("infrared", "visible")),
        ("DJI_0001_THRM", "DJI_0001_WIDE", "dji 0001", ("infrared", "visible")),
        ("scene_inf", "scene_color", "scene", ("infrared", "visible")),
        ("scene_thermo", "scene_colour", "scene", ("infrared", "visible")),
        ("scene_LWIR", "scene_gray", "scene", ("infrared", "visible")),
        ("day_FIR", "day_grey", "day", ("infrared", "visible")),
        ("gate_nir", "gate_rgb", "gate", (NEAR_INFRARED, "visible")),
        ("夜 近红外", "夜 彩色", "夜", (NEAR_INFRARED, "visible")),
        ("1 赤外線", "1 可視光", "1", ("infrared", "visible")),
        ("1紅外", "1可見光", "1", ("infrared", "visible")),
        ("1_红外图像", "1_可见光图片", "1", ("infrared", "visible")),
        ("1_ИК", "1_Видимый", "1", ("infrared", "visible")),
        ("1_Wärmebild", "1_Farbe", "1", ("infrared", "visible")),
        ("1_termica", "1_visible", "1", ("infrared", "visible")),
        ("1_infra-red", "1_visible_light", "1", ("infrared", "visible")),
        ("1_near_infrared", "1_rgb", "1", (NEAR_INFRARED, "visible")),
        ("1_thm", "1_vl", "1", ("infrared", "visible")),
        ("1_hot", "1_photo", "1", ("infrared", "visible")),
        ("8_thermal_radiometric", "8_rgb_8bit", "8", ("infrared", "visible")),
        ("1_MRT2", "1_PET", "1", ("mri", "pet")),
        ("1_磁共振", "1_CT", "1", ("mri", "ct")),
    ],
)
def test_words_that_could_mean_something_else_say_a_side_if_they_are_read(a, b, scene, sides):
    labels = [read_label(name, hints=True) for name in (a, b)]
    assert tuple(label.modality for label in labels) == sides
    assert [label.scene for label in labels] == [scene, scene]


@pytest.mark.parametrize("name", ["Wärmebild", "térmica", "적외선"])
def test_letters_with_marks_are_read_in_both_spellings(name):
    decomposed = unicodedata.normalize("NFD", name)
    assert decomposed != name
    assert read_label(f"1_{decomposed}", hints=True) == Label("infrared", "1")
    assert modality_of_folder(decomposed) == "infrared"


@pytest.mark.parametrize(
    "name", ["Tower", "1T2", "awe_2", "VW_1", "t", "rgba_3", "smart_1", "пикник", "Span_1"]
)
def test_a_hint_is_set_off_and_without_hints_it_says_nothing(name):
    assert read_label(name).modality is None
    assert (read_label(name, hints=True).modality is None) == (name != "t")


def test_no_hint_is_a_word():
    assert not HINTS.keys() & WORDS.keys()


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("IR", "infrared"), ("红外", "infrared"), ("可见光", "visible"), ("RGB", "visible"), ("PET_Y", "pet"),
        ("MR-T2", "mri"), ("SPECT-Tc", "spect"), ("T1", "mri"), ("T", None), ("PET-MRI", None), ("CT-MRI", None),
        ("trainimg", "visible"), ("红外图像", "infrared"), ("可见光图片", "visible"), ("紅外", "infrared"),
        ("thermal_8_bit", None), ("DHV_images", None), ("ir_results", None), ("nir", None), ("rg", None),
        ("", None), ("__", None),
    ],
)  # fmt: skip
def test_a_folder_is_named_after_one_modality_and_nothing_else(name, modality):
    assert modality_of_folder(name) == modality


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("thermal_8_bit", ("infrared", "")), ("IR images", ("infrared", "")), ("rgb_train", ("visible", "train")),
        ("nir", ("infrared", "")), ("Color", ("visible", "")), ("8 bit", (None, "")), ("train_images", (None, "train")),
        ("ir_results", (None, "")), ("PET-MRI", (None, "")), ("", (None, "")),
    ],
)  # fmt: skip
def test_what_a_folder_may_mean_beside_a_partner(name, said):
    label = read_folder_label(name, hints=True)
    assert (label.modality, label.scene) == said


def test_numbers_keep_scenes_apart():
    assert len({read_label(f"IR_{k}").scene for k in range(20)}) == 20


def test_every_side_of_a_task_can_be_said():
    sides = {side for both in TASKS.values() for side in both}
    assert sides == set(FOLDERS.values())
    assert sides == set(WORDS.values()) - {NEAR_INFRARED, COMPOSITE}


def test_a_word_means_one_modality_as_folder_and_in_a_file():
    assert all(FOLDERS[word] == WORDS[word] for word in FOLDERS.keys() & WORDS.keys())


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_known_by_its_sides_in_their_order_and_its_folders_name_them(task):
    a, b = TASKS[task]
    assert task_of(a, b) == task
    assert task_of(b, a) is task_of(a, None) is task_of(None, None) is None
    assert tuple(FOLDERS[name] for name in folders_of(task)) == (a, b)
