"""Volumes: NIfTI files and DICOM files or series, turned to one orientation and cut into slices.

The libraries for them, nibabel and pydicom, are the extra ``medical``. Values are those of the scanner, such as
Hounsfield units: slope and intercept of the file are applied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mambadfuse.data.colour import Floats
from mambadfuse.data.images import FORMATS, ImageError
from mambadfuse.data.stretch import require_finite
from mambadfuse.files import OnComplete, atomic_write, is_special

AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""The axis of a volume (x, y, z) that is perpendicular to each plane."""

DICOM = (".dcm", ".dicom", ".ima")
"""Suffixes of DICOM files; many have none."""

_NIFTI = (".nii", ".nii.gz")
_DICOM_MARK = (128, b"DICM")  # where it stands, and what it is
_TO_RAS = np.diag(
    [-1.0, -1.0, 1.0, 1.0]
)  # DICOM counts to the left and to the back, NIfTI to the right and front


@dataclass(frozen=True)
class Volume:
    """A volume in the orientation closest to RAS+: x grows to the right, y to the front, z upwards.

    Attributes:
        values: float32, (X, Y, Z).
        affine: (4, 4), from voxel indices to millimetres.
    """

    values: Floats
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> NDArray[np.float64]:
        """The distance between voxels along each axis, in millimetres."""
        return np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))

    def slice(self, plane: str, index: int) -> Floats:
        """One slice, (H, W), seen with the front or the head at the top and right on the right.

        Raises:
            ValueError: there is no such plane or slice.
        """
        count = self.count(plane)
        if not 0 <= index < count:
            raise ValueError(f"there is no {plane} slice {index}: expected 0 to {count - 1}")
        return upright(np.take(self.values, index, AXES[plane]))

    def count(self, plane: str) -> int:
        """How many slices there are.

        Raises:
            ValueError: there is no such plane.
        """
        if plane not in AXES:
            raise ValueError(f"plane must be one of {', '.join(AXES)}, found {plane!r}")
        return self.values.shape[AXES[plane]]


def upright(x: NDArray[Any]) -> NDArray[Any]:
    """A slice of an RAS+ volume as an image, rows from the top; (X, Y) -> (Y, X)."""
    return np.flip(np.swapaxes(x, 0, 1), 0)


def lay_down(image: NDArray[Any]) -> NDArray[Any]:
    """The inverse of :func:`upright`."""
    return np.swapaxes(np.flip(image, 0), 0, 1)


def is_volume(path: Path) -> bool:
    """Whether a path is a NIfTI or DICOM file, or a folder of DICOM files."""
    if path.is_dir():
        return any(is_dicom(file) for file in path.iterdir())
    return is_nifti(path) or is_dicom(path)


def is_nifti(path: Path) -> bool:
    """Whether a file is NIfTI by its name."""
    return path.name.lower().endswith(_NIFTI)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its name or, as scanners often write it without a suffix, by its content."""
    if path.suffix.lower() in DICOM:
        return True
    if path.suffix.lower() in FORMATS or path.name == "DICOMDIR" or is_nifti(path) or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            at, mark = _DICOM_MARK
            return file.read(at + len(mark))[at:] == mark
    except OSError:
        return False


def without_suffix(path: Path) -> Path:
    """The path of a volume without the suffix of its format."""
    suffix = next((end for end in (*_NIFTI, *DICOM) if path.name.lower().endswith(end)), "")
    return path.with_name(path.name[: len(path.name) - len(suffix)])


def read_volume(path: str | Path) -> Volume:
    """A volume from a NIfTI file, a DICOM file, or a folder with the DICOM files of one series.

    >>> from mambadfuse.data.volumes import read_volume
    >>> volume = read_volume("head.nii.gz")  # doctest: +SKIP
    >>> volume.slice("axial", volume.count("axial") // 2).shape  # doctest: +SKIP
    (218, 182)

    Raises:
        ImageError: it cannot be read, is not three-dimensional, or the files are not slices of one volume.
        ImportError: the extra ``medical`` is not installed.
        MemoryError: it does not fit in what is free.
    """
    path = Path(path)
    if not path.exists():
        raise ImageError(f"{path}: there is no such file")
    if is_special(path):
        raise ImageError(f"{path}: is a pipe, socket or device, expected a volume")
    library = _library("nibabel" if is_nifti(path) else "pydicom")
    try:
        values, affine = (_read_nifti if is_nifti(path) else _read_dicom)(library, path)
        require_finite(values)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    except MemoryError:
        raise MemoryError(f"{path}: there is not enough free memory to read it") from None
    except Exception as error:  # both libraries meet broken files with almost any exception
        raise ImageError(f"{path}: cannot be read as a volume ({error})") from error
    return _closest_to_ras(values, affine)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ImportError(
            f'volumes need {name}, which is not installed: pip install -e ".[medical]"'
        ) from None


def _read_nifti(nibabel: Any, path: Path) -> tuple[Floats, NDArray[np.float64]]:
    image = nibabel.load(path)
    if (kind := image.get_data_dtype()).kind not in "iufb":
        raise ImageError(f"holds {kind} in each voxel, expected one real number")
    values = np.asarray(image.dataobj, dtype=np.float32)
    values = values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values
    if values.ndim != 3 or not values.size:
        raise ImageError(f"has the shape {values.shape}, expected a volume (X, Y, Z)")
    return values, np.asarray(image.affine, np.float64)


def _read_dicom(pydicom: Any, path: Path) -> tuple[Floats, NDArray[np.float64]]:
    files = sorted(file for file in path.iterdir() if is_dicom(file)) if path.is_dir() else [path]
    slices = [pydicom.dcmread(file) for file in files]
    for file, one in zip(files, slices, strict=True):
        if (frames := int(one.get("NumberOfFrames") or 1)) > 1:
            raise ImageError(
                f"{file.name} holds {frames} frames; multi-frame DICOM is not read: convert it to NIfTI (dcm2niix)"
            )
    series = {str(one.SeriesInstanceUID) for one in slices}
    if len(series) > 1:
        raise ImageError(f"holds {len(series)} series, expected the files of one")
    first = slices[0]
    if len({(tuple(one.ImageOrientationPatient), one.Rows, one.Columns) for one in slices}) > 1:
        raise ImageError("holds slices of several orientations or sizes")
    across, down = np.reshape(np.asarray(first.ImageOrientationPatient, float), (2, 3))
    normal = np.cross(across, down)
    slices.sort(key=lambda one: float(normal @ np.asarray(one.ImagePositionPatient, float)))
    origins = np.array([one.ImagePositionPatient for one in slices], float)
    step = _step(origins, normal * float(first.get("SliceThickness") or 1))
    row_spacing, column_spacing = map(float, first.PixelSpacing)
    affine = np.eye(4)
    affine[:3] = np.stack([across * column_spacing, down * row_spacing, step, origins[0]], axis=1)
    planes = [
        one.pixel_array.astype(np.float32) * float(one.get("RescaleSlope", 1))
        + float(one.get("RescaleIntercept", 0))
        for one in slices
    ]
    if planes[0].ndim != 2:
        raise ImageError(f"has frames of shape {planes[0].shape}, expected one grey image a file")
    return np.stack(planes).transpose(2, 1, 0).astype(np.float32), _TO_RAS @ affine


def _step(origins: NDArray[np.float64], single: NDArray[np.float64]) -> NDArray[np.float64]:
    """From one slice to the next, which has to be the same everywhere; ``single`` if there is one slice."""
    if len(origins) == 1:
        return single
    steps = np.diff(origins, axis=0)
    if not np.allclose(steps, steps.mean(axis=0), atol=0.01) or not np.any(np.abs(steps) > 0.01):
        raise ImageError("holds slices that are not equally spaced: one is missing, or there are two")
    return steps.mean(axis=0)


def _closest_to_ras(values: Floats, affine: NDArray[np.float64]) -> Volume:
    """Axes swapped and turned, without interpolation, to the order and direction closest to RAS+."""
    direction = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    order = [0, 0, 0]
    left = np.abs(direction)
    for _ in range(3):  # the clearest match first
        world, voxel = np.unravel_index(np.argmax(left), (3, 3))
        order[world] = int(voxel)
        left[world], left[:, voxel] = -1, -1
    values = values.transpose(order)
    turned = np.eye(4)
    turned[:3, :3], turned[:3, 3] = affine[:3, :3][:, order], affine[:3, 3]
    for axis in range(3):
        if turned[axis, axis] < 0:
            values = np.flip(values, axis)
            turned[:3, 3] += turned[:3, axis] * (values.shape[axis] - 1)
            turned[:3, axis] *= -1
    return Volume(np.ascontiguousarray(values, np.float32), turned)


def require_same_grid(a: Volume, b: Volume) -> None:
    """Refuses two volumes whose voxels do not lie at the same places: fusion needs registered, resampled volumes.

    Raises:
        ValueError: size, spacing, orientation or position differ.
    """
    for what, x, y, tolerance in (
        ("size", a.values.shape, b.values.shape, 0),
        ("spacing", a.spacing, b.spacing, 0.01),
        ("orientation", a.affine[:3, :3] / a.spacing, b.affine[:3, :3] / b.spacing, 0.01),
        ("position", a.affine[:3, 3], b.affine[:3, 3], float(a.spacing.min()) / 2),
    ):
        if not np.allclose(x, y, atol=tolerance, rtol=0):
            found = " and ".join(str(np.round(np.ravel(side), 3).tolist()) for side in (x, y))
            raise ValueError(
                f"the volumes differ in {what}, {found}: register and resample one to the other first"
            )


def write_nifti(
    path: Path,
    images: Sequence[NDArray[Any]],
    plane: str,
    like: Volume,
    on_complete: OnComplete | None = None,
) -> None:
    """Upright slices of one plane, (H, W) or (H, W, 3), as a NIfTI volume in the space of another volume.

    Colour is stored as NIfTI's RGB24.

    Args:
        path: of the file.
        images: all slices of the plane.
        plane: "axial", "coronal" or "sagittal".
        like: the volume whose affine is written.
        on_complete: as in :func:`mambadfuse.files.atomic_write`.

    Raises:
        ImportError: the extra ``medical`` is not installed.
        OSError: the file cannot be written.
    """
    nibabel = _library("nibabel")
    values = np.stack([lay_down(image) for image in images], axis=AXES[plane])
    if values.ndim == 4:
        rgb = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
        values = np.ascontiguousarray(values.astype(np.uint8)).view(rgb)[..., 0]
    content = nibabel.Nifti1Image(values, like.affine).to_bytes()
    with atomic_write(path, on_complete=on_complete) as file:
        if path.name.lower().endswith(".gz"):
            content = import_module("gzip").compress(content, mtime=0)
        file.write(content)
