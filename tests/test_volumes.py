"""Volumes: orientation, spacing, slices and round trips, of NIfTI files and DICOM series."""

import json
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

import mambadfuse as mdf
from mambadfuse.cli import main
from mambadfuse.data import volumes
from mambadfuse.data.images import ImageError, read_image
from mambadfuse.data.volume_pairs import find_volume_pairs, holds_volumes
from mambadfuse.data.volumes import AXES, is_volume, lay_down, read_volume, require_same_grid, upright
from mambadfuse.fusion import memory
from mambadfuse.fusion.tiling import TiledModel
from mambadfuse.fusion.volumes import VolumeOptions, fuse_volume_folders, fuse_volumes

VALUES = np.random.default_rng(0).normal(100, 30, (5, 6, 7)).astype(np.float32)
AFFINE = np.array([[1.0, 0, 0, -10], [0, 1.5, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]])


class Mean(nn.Module):
    def forward(self, a, b):
        return (a + b) / 2


@pytest.fixture
def nibabel():
    return pytest.importorskip("nibabel", reason="NIfTI needs the extra medical")


def save(nibabel, path, values=VALUES, affine=AFFINE):
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("turns", list(product((1, -1), repeat=3)))
def test_every_orientation_is_read_as_the_same_volume(nibabel, tmp_path, order, turns):
    values, affine = VALUES.transpose(order)[tuple(slice(None, None, turn) for turn in turns)], AFFINE.copy()
    affine[:3, :3] = AFFINE[:3, order] * turns
    corner = [0 if turn > 0 else size - 1 for turn, size in zip(turns, values.shape, strict=True)]
    affine[:3, 3] = AFFINE[:3, 3] + AFFINE[:3, order] @ corner
    volume = read_volume(save(nibabel, tmp_path / "x.nii.gz", values, affine))
    np.testing.assert_array_equal(volume.values, VALUES)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)
    np.testing.assert_allclose(volume.spacing, [1, 1.5, 2])


def test_the_front_is_at_the_top_and_right_on_the_right():
    volume = volumes.Volume(VALUES, AFFINE)
    axial = volume.slice("axial", 3)
    assert axial.shape == (6, 5)
    assert axial[0, 4] == VALUES[4, 5, 3]
    assert volume.slice("sagittal", 2)[0, 0] == VALUES[2, 0, 6]
    np.testing.assert_array_equal(lay_down(upright(VALUES[:, 1])), VALUES[:, 1])
    with pytest.raises(ValueError, match="no axial slice 7: expected 0 to 6"):
        volume.slice("axial", 7)
    with pytest.raises(ValueError, match="plane must be one of sagittal, coronal, axial"):
        volume.count("oblique")


@pytest.mark.parametrize(
    ("values", "affine", "what"),
    [
        (VALUES[1:], AFFINE, "size"),
        (VALUES, AFFINE @ np.diag([1.1, 1, 1, 1]), "spacing"),
        (VALUES, AFFINE + np.pad([[5.0]], ((0, 3), (3, 0))), "position"),
    ],
)
def test_volumes_on_different_grids_are_refused(values, affine, what):
    with pytest.raises(ValueError, match=f"the volumes differ in {what}.*resample"):
        require_same_grid(volumes.Volume(VALUES, AFFINE), volumes.Volume(values, affine))


@pytest.mark.parametrize("plane", AXES)
def test_a_fused_volume_lies_where_its_sources_lie(nibabel, tmp_path, plane):
    a = save(nibabel, tmp_path / "a.nii", VALUES, AFFINE)
    window = (0.0, 200.0)
    out = tmp_path / "out" / "fused.nii.gz"
    assert fuse_volumes(a, a, out, Mean(), VolumeOptions(plane, stretch=window, stretch_b=window)) == (out,)
    fused = nibabel.load(out)
    np.testing.assert_allclose(fused.affine, AFFINE)
    np.testing.assert_allclose(np.asarray(fused.dataobj), np.clip(VALUES, 0, 200) / 200 * 255, atol=0.51)
    with pytest.raises(FileExistsError, match="overwrite"):
        fuse_volumes(a, a, out, Mean())


def test_the_command_writes_a_slice_a_folder_or_a_volume(nibabel, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mambadfuse.models.checkpoints.load", lambda source: Mean())
    save(nibabel, "mri.nii"), save(nibabel, "ct.nii.gz", 10 * VALUES)
    words = [
        "fuse",
        "--a",
        "mri.nii",
        "--b",
        "ct.nii.gz",
        "--model",
        "ct-mri",
        "--stretch-b",
        "0",
        "2000",
        "--out",
    ]
    assert main([*words, "one.png", "--stretch", "0", "200"]) == 0
    assert main([*words, "all", "--stretch", "0", "200"]) == 0
    assert main([*words, "fused.nii.gz"]) == 0
    middle = np.clip(upright(VALUES[..., 3]), 0, 200) / 200 * 255
    for name in ("one.png", "all/003.png"):
        np.testing.assert_allclose(np.asarray(Image.open(name)), middle, atol=0.51)
    assert len(list((tmp_path / "all").glob("*.png"))) == 7
    assert "wrote 7 slices into all" in capsys.readouterr().out
    assert main([*words, "two.png", "--plane", "coronal", "--slice", "9"]) == 1
    assert "no coronal slice 9" in capsys.readouterr().err


def series(pydicom, folder, keep=range(7)):
    """VALUES as a CT series: rows to the back, columns to the left, one file a slice."""
    folder.mkdir()
    for k in keep:
        one = pydicom.Dataset()
        one.file_meta = pydicom.dataset.FileMetaDataset()
        one.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        one.SOPClassUID, one.SOPInstanceUID = pydicom.uid.CTImageStorage, f"1.2.3.{k}"
        one.SeriesInstanceUID, one.Modality = "1.2.3", "CT"
        pixels = (np.rint(VALUES[::-1, ::-1, k].T) + 1024).astype(np.uint16)  # (rows, columns)
        one.Rows, one.Columns = pixels.shape
        one.ImageOrientationPatient, one.PixelSpacing = [1, 0, 0, 0, 1, 0], [1.5, 1.0]
        one.ImagePositionPatient = [10 - 4 * 1.0, 20 - 5 * 1.5, 30 + 2.0 * k]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated = one.BitsStored = 16
        one.HighBit, one.PixelRepresentation = 15, 0
        one.RescaleSlope, one.RescaleIntercept = 1, -1024
        one.PixelData = pixels.tobytes()
        one.save_as(folder / f"{90 - k}.dcm", enforce_file_format=True)
    return folder


def test_a_dicom_series_is_the_same_volume_as_its_nifti(tmp_path):
    volume = read_volume(
        series(pytest.importorskip("pydicom", reason="DICOM needs the extra medical"), tmp_path / "ct")
    )
    np.testing.assert_array_equal(volume.values, np.rint(VALUES))
    np.testing.assert_allclose(volume.affine, AFFINE)


def test_a_series_with_a_gap_is_refused(tmp_path):
    folder = series(
        pytest.importorskip("pydicom", reason="DICOM needs the extra medical"),
        tmp_path / "ct",
        keep=[0, 1, 2, 4, 5],
    )
    with pytest.raises(ImageError, match="ct: holds slices that are not equally spaced"):
        read_volume(folder)


def test_a_file_of_several_frames_is_named_as_that(tmp_path):
    pydicom = pytest.importorskip("pydicom", reason="DICOM needs the extra medical")
    folder = series(pydicom, tmp_path / "ct", keep=[0])
    (file,) = folder.iterdir()
    one = pydicom.dcmread(file)
    one.NumberOfFrames, one.PixelData = 3, 3 * one.PixelData
    one.save_as(file)
    for path in (file, folder):
        with pytest.raises(
            ImageError, match=f"{path.name}: 90.dcm holds 3 frames; multi-frame DICOM is not read"
        ):
            read_volume(path)


def test_dicom_without_a_suffix_is_known_by_its_content(tmp_path):
    pydicom = pytest.importorskip("pydicom", reason="DICOM needs the extra medical")
    folder = series(pydicom, tmp_path / "ct")
    for k, file in enumerate(sorted(folder.iterdir())):
        file.rename(folder / (f"IM{k:04}" if k % 2 else f"1.2.840.{k}"))
    (folder / "README").write_text("a series")
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    assert is_volume(folder)
    np.testing.assert_array_equal(read_volume(folder).values, np.rint(VALUES))
    assert [is_volume(folder / name) for name in ("IM0001", "README", "DICOMDIR")] == [True, False, False]


@pytest.mark.parametrize("layout", ["two folders", "words", "one folder"])
def test_folders_of_volumes_are_fused_pair_by_pair(nibabel, tmp_path, monkeypatch, capsys, layout):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mambadfuse.models.checkpoints.load", lambda source: Mean())
    name_a, name_b = {
        "two folders": ("mri/{}.nii.gz", "ct/{}.nii"),
        "words": ("mri/{}_T1.nii.gz", "ct/{}_CT.nii.gz"),
        "one folder": ("mri/{}_T1.nii.gz", "mri/{}_CT.nii.gz"),
    }[layout]
    for k in (1, 2):
        for name, scale in ((name_a, 1), (name_b, 10)):
            Path(name).parent.mkdir(exist_ok=True)
            save(nibabel, name.format(f"p{k}"), scale * VALUES)
    save(nibabel, "mri/alone_T1.nii")
    words = ["fuse", "--a", "mri", "--model", "ct-mri", "--stretch", "0", "200", "--stretch-b", "0", "2000"]
    words += [] if layout == "one folder" else ["--b", "ct"]
    assert main([*words, "--out", "o"]) == 1
    said = capsys.readouterr()
    assert "2 fused, 0 kept, 0 failed, 1 skipped" in said.out
    assert "mri/alone_T1.nii: has no partner" in said.err.replace("\\", "/")
    (first, _) = sorted(Path("o").glob("*.nii.gz"))
    fused = nibabel.load(first)
    np.testing.assert_allclose(fused.affine, AFFINE)
    np.testing.assert_allclose(np.asarray(fused.dataobj), np.clip(VALUES, 0, 200) / 200 * 255, atol=0.51)
    assert main([*words, "--out", "o"]) == 1
    assert "0 fused, 2 kept" in capsys.readouterr().out
    assert main([*words, "--out", "o", "--plane", "coronal"]) == 1
    assert "was made with plane axial, now it is plane coronal" in capsys.readouterr().err
    assert main([*words, "--out", "slices", "--slice", "3"]) == 1
    middle = np.clip(upright(VALUES[..., 3]), 0, 200) / 200 * 255
    for file in Path("slices").glob("*.png"):
        np.testing.assert_allclose(np.asarray(Image.open(file)), middle, atol=0.51)
    assert len(list(Path("slices").glob("*.png"))) == 2
    assert main([*words, "--out", "mri/o"]) == 1
    assert "outside the sources" in capsys.readouterr().err


def test_a_result_beside_its_volumes_is_not_read_as_one(nibabel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("both").mkdir()
    for name in ("p1_T1", "p1_CT"):
        save(nibabel, f"both/{name}.nii")
    fuse_volumes("both/p1_T1.nii", "both/p1_CT.nii", "both/p1_CT_fused.nii", Mean())
    found = find_volume_pairs("both")
    assert [pair.b.name for pair in found.pairs] == ["p1_CT.nii"]
    (note,) = found.issues
    assert (note.subject.name, note.severity) == ("p1_CT_fused.nii", "note")
    fuse_volumes("both/p1_T1.nii", "both/p1_CT.nii", "both/slice.png", Mean(), VolumeOptions(index=1))
    assert holds_volumes(Path("both"))
    Image.new("L", (8, 8)).save("both/photo.png")
    assert not holds_volumes(Path("both"))
    save(nibabel, "both/p1_CT_fused.nii", 2 * VALUES)
    assert not [issue for issue in find_volume_pairs("both").issues if issue.severity == "note"]


@pytest.mark.parametrize("kind", ["c8", [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_voxels_that_hold_no_real_number_are_refused(nibabel, tmp_path, kind):
    path = save(nibabel, tmp_path / "x.nii", np.zeros((4, 5, 6), kind))
    with pytest.raises(ImageError, match=r"x\.nii: holds .* in each voxel, expected one real number"):
        read_volume(path)


@pytest.mark.parametrize(
    ("out", "index", "message"),
    [
        ("slices", 3, r"slices: a single slice \(--slice 3\) is written into an image file"),
        ("o.nii.gz", 0, r"o\.nii\.gz: a single slice \(--slice 0\)"),
        ("o.gif", None, r"o\.gif: its suffix '\.gif' names no format written here"),
        ("o.dcm", None, r"o\.dcm: its suffix '\.dcm' names no format written here"),
    ],
)
def test_a_name_that_does_not_say_what_the_options_ask_for_is_refused(
    nibabel, tmp_path, monkeypatch, out, index, message
):
    monkeypatch.chdir(tmp_path)
    save(nibabel, "a.nii"), save(nibabel, "b.nii")
    with pytest.raises(ValueError, match=message):
        fuse_volumes("a.nii", "b.nii", out, Mean(), VolumeOptions(index=index))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii", "b.nii"]


def test_a_volume_without_a_range_is_named_by_its_side(nibabel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(nibabel, "a.nii"), save(nibabel, "b.nii", 0 * VALUES + 3)
    with pytest.raises(ValueError, match="side b cannot be stretched: it has the value 3"):
        fuse_volumes("a.nii", "b.nii", "o.png", Mean())


def test_slices_in_a_folder_below_their_volumes_hide_none(nibabel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mambadfuse.models.checkpoints.load", lambda source: Mean())
    Path("head").mkdir()
    for name in ("p1_T1", "p1_CT"):
        save(nibabel, f"head/{name}.nii")
    fuse_volumes("head/p1_T1.nii", "head/p1_CT.nii", "head/slices", Mean())
    fuse_volumes("head/p1_T1.nii", "head/p1_CT.nii", "head/fused/p1_CT.nii", Mean())
    assert holds_volumes(Path("head"))
    found = find_volume_pairs("head")
    assert [(pair.a.name, pair.b.name) for pair in found.pairs] == [("p1_T1.nii", "p1_CT.nii")]
    assert main(["fuse", "--a", "head", "--out", "o", "--model", "ct-mri"]) == 0


def small_network():
    return mdf.MambaDFuse(
        mdf.MambaDFuseConfig(
            dim=8, state=2, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
        )
    ).eval()


@pytest.mark.parametrize("out", ["o.nii.gz", "o"])
def test_if_memory_shrinks_meanwhile_the_other_slices_take_smaller_tiles(
    nibabel, tmp_path, monkeypatch, caplog, out
):
    monkeypatch.chdir(tmp_path)
    network, asked = small_network(), []

    def shrinking():
        asked.append(1)
        side = {1: 64, 2: 32}.get(len(asked), 16)
        return memory.pass_memory(network.config, side, side) + 60 * 40 * 44

    monkeypatch.setattr(memory, "_TILES", (32, 16))
    monkeypatch.setattr(memory, "free_memory", shrinking)
    for name in "ab":
        save(nibabel, f"{name}.nii", np.random.default_rng(0).normal(100, 30, (40, 44, 4)))
    results = fuse_volumes("a.nii", "b.nii", out, network)
    notes = [text for text in caplog.messages if "it is fused in tiles" in text]
    assert [f"in tiles of {side} pixels" in note for side, note in zip((32, 16), notes, strict=True)] == [
        True
    ] * 2
    (record,) = results[0].parent.glob(".fused_with*.jsonl")
    tiles = [json.loads(line)["settings"].get("chosen_tile") for line in record.read_text().splitlines()]
    assert tiles == ([16] if out == "o.nii.gz" else [None, 32, 16, 16])


@pytest.mark.parametrize("out", ["single.nii.gz", "single.png", "slices", "folders"])
def test_tiles_that_memory_asked_for_are_noted_once_and_on_record(
    nibabel, tmp_path, monkeypatch, caplog, out
):
    monkeypatch.chdir(tmp_path)
    network = small_network()
    monkeypatch.setattr(memory, "_TILES", (32, 16))
    monkeypatch.setattr(
        memory, "free_memory", lambda: memory.pass_memory(network.config, 32, 32) + 60 * 40 * 44
    )
    for side in "ab":
        Path(side).mkdir()
        save(nibabel, f"{side}/1.nii", np.random.default_rng(0).normal(100, 30, (40, 44, 3)))
    if out == "folders":
        assert fuse_volume_folders("a", "b", out, network, progress=False).complete
        (result,) = Path(out).glob("*.nii.gz")
    else:
        result = fuse_volumes("a/1.nii", "b/1.nii", out, network)[0]
    (note,) = [text for text in caplog.messages if "tiles" in text]
    assert "fused in tiles of 32 pixels" in note
    (record,) = result.parent.glob(".fused_with*.jsonl")
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert {line["settings"]["chosen_tile"] for line in lines} == {32}
    assert lines[0]["name"] == result.name
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    if out == "folders":
        assert fuse_volume_folders("a", "b", out, network, progress=False).kept == (result,)
    if out == "single.png":
        (tiled,) = fuse_volumes("a/1.nii", "b/1.nii", "tiled/1.png", TiledModel(network, 32, 16))
        assert result.read_bytes() == tiled.read_bytes()
        assert "chosen_tile" not in next(tiled.parent.glob(".fused_with*.jsonl")).read_text()


def test_ctrl_c_between_volumes_says_how_many_are_done(nibabel, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    calls = []

    class Interrupted(Mean):
        def forward(self, a, b):
            calls.append(1)
            if len(calls) == 9:  # in the second volume
                raise KeyboardInterrupt
            return super().forward(a, b)

    monkeypatch.setattr("mambadfuse.models.checkpoints.load", lambda source: Interrupted())
    for side, name in (("mri", "1"), ("mri", "2"), ("ct", "1"), ("ct", "2")):
        Path(side).mkdir(exist_ok=True)
        save(nibabel, f"{side}/{name}.nii")
    words = ["fuse", "--a", "mri", "--b", "ct", "--model", "ct-mri", "--out", "o"]
    assert main(words) == 130
    assert "1 of 2 results are in o; the same command makes the rest" in capsys.readouterr().err
    assert main(words) == 0
    assert "1 fused, 1 kept" in capsys.readouterr().out


@pytest.fixture
def listed(nibabel, tmp_path, monkeypatch):
    """Two pairs of volumes that their names do not pair, and a file that does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mambadfuse.models.checkpoints.load", lambda source: Mean())
    for name, scale in (("x.nii.gz", 1), ("y.nii", 10), ("v.nii.gz", 1), ("w.nii.gz", 10)):
        save(nibabel, name, scale * VALUES)
    Path("pairs.csv").write_text("a,b,name\nx.nii.gz,y.nii\nv.nii.gz,w.nii.gz,second\n")
    return Path("pairs.csv")


def test_a_file_of_pairs_may_list_volumes(nibabel, listed, capsys):
    words = ["fuse", "--pairs-file", "pairs.csv", "--model", "ct-mri"]
    windows = VolumeOptions(stretch=(0, 200), stretch_b=(0, 2000))
    assert main([*words, "--out", "o", "--stretch", "0", "200", "--stretch-b", "0", "2000"]) == 0
    assert "2 fused, 0 kept, 0 failed, 0 skipped" in capsys.readouterr().out
    assert sorted(path.name for path in Path("o").glob("*.nii.gz")) == ["second.nii.gz", "x.nii.gz"]
    for path in Path("o").glob("*.nii.gz"):
        found = np.asarray(nibabel.load(path).dataobj)
        np.testing.assert_allclose(found, np.clip(VALUES, 0, 200) / 200 * 255, atol=0.51)
    assert fuse_volume_folders(listed, None, "python", Mean(), windows, progress=False).complete
    assert Path("python/x.nii.gz").read_bytes() == Path("o/x.nii.gz").read_bytes()
    assert main([*words, "--out", "slices", "--slice", "3"]) == 0
    assert sorted(path.name for path in Path("slices").glob("*.png")) == ["second.png", "x.png"]
    assert main([*words, "--out", "."]) == 1
    assert "x.nii.gz" in capsys.readouterr().err


def test_a_list_of_volumes_may_name_the_folder_of_a_series(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mambadfuse.models.checkpoints.load", lambda source: Mean())
    pydicom = pytest.importorskip("pydicom", reason="DICOM needs the extra medical")
    pytest.importorskip("nibabel", reason="the result is NIfTI")
    series(pydicom, tmp_path / "mr"), series(pydicom, tmp_path / "ct")
    Path("pairs.csv").write_text("mr,ct,head\n")
    assert main(["fuse", "--pairs-file", "pairs.csv", "--out", "o", "--model", "ct-mri"]) == 0
    assert Path("o/head.nii.gz").stat().st_size
    with pytest.raises(ValueError, match="lies in mr, a folder of sources"):
        fuse_volume_folders("pairs.csv", None, "mr", Mean(), progress=False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("p.png,q.png", "line 2, column a: p.png: is no volume"),
        ("x.nii.gz,w.nii.gz", "the name 'x' is that of line 1, too"),
        ("v.nii.gz,none.nii", "line 2, column b: none.nii: there is no such volume"),
    ],
)
def test_what_is_wrong_in_a_list_of_volumes_is_named(listed, line, message, capsys):
    for name in ("p.png", "q.png"):
        Image.fromarray(np.zeros((6, 5), np.uint8)).save(name)
    listed.write_text(f"x.nii.gz,y.nii\n{line}\n")
    assert main(["fuse", "--pairs-file", "pairs.csv", "--out", "o"]) == 1
    assert message in capsys.readouterr().err
    assert not Path("o").exists()


@pytest.mark.parametrize(
    "words",
    [
        "align --pairs-file pairs.csv --out o",
        "evaluate --pairs-file pairs.csv --fused o",
        "faults --pairs-file pairs.csv --fused o",
        "train --pairs-file pairs.csv --out w.safetensors --dry-run",
        "data check --pairs-file pairs.csv",
    ],
)
def test_commands_for_images_refuse_a_list_of_volumes(listed, words, capsys):
    assert main(words.split()) == 1
    said = "".join(capsys.readouterr())
    assert (
        "pairs.csv: line 2, column a: x.nii.gz: is a volume, of which only mambadfuse fuse takes a list"
        in said
    )


def test_a_volume_is_not_fused_with_itself(listed, capsys):
    with pytest.raises(SystemExit):
        main(["fuse", "--a", "x.nii.gz", "--b", "./x.nii.gz", "--out", "o.png"])
    assert "--a and --b are the same volume" in capsys.readouterr().err


def test_a_volume_is_not_fused_with_an_image(nibabel, tmp_path, capsys):
    volume = save(nibabel, tmp_path / "x.nii.gz")
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(tmp_path / "y.png")
    with pytest.raises(SystemExit):
        main(["fuse", "--a", str(volume), "--b", str(tmp_path / "y.png"), "--out", str(tmp_path / "z.png")])
    assert "is a volume, the other an image" in capsys.readouterr().err
    with pytest.raises(ImageError, match="it begins like a NIfTI volume"):
        read_image(volume)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.dcm"])
def test_what_is_no_volume_is_named(tmp_path, name):
    pytest.importorskip("nibabel" if "nii" in name else "pydicom", reason="volumes need the extra medical")
    (tmp_path / name).write_bytes(b"no volume")
    with pytest.raises(ImageError, match=f"{name}: cannot be read as a volume"):
        read_volume(tmp_path / name)
    with pytest.raises(ImageError, match="there is no such file"):
        read_volume(tmp_path / f"missing_{name}")


def test_without_the_extra_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(volumes, "import_module", missing)
    (tmp_path / "x.nii").touch()
    with pytest.raises(ImportError, match=r'nibabel.*pip install -e "\.\[medical\]"'):
        read_volume(tmp_path / "x.nii")
