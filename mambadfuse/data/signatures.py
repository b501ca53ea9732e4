"""What a file is by its first bytes, where it is not what was expected."""

_DOWNLOAD = "an HTML page, as a server sends it in place of the file: download the file again"
_NIFTI = "a NIfTI volume, which is fused with another volume"
_LFS = "a Git LFS pointer, not the file it points to: fetch that with git lfs pull"

# Kinds that are often found under another name, by bytes in lower case and where these stand.
_SIGNATURES = [
    (0, b"<!doctype html", _DOWNLOAD),
    (0, b"<html", _DOWNLOAD),
    (0, b"version https://git-lfs", _LFS),
    (0, b"\x89png", "an image"),
    (0, b"\xff\xd8\xff", "an image"),
    (0, b"gif8", "an image"),
    (0, b"ii*\x00", "an image"),
    (0, b"mm\x00*", "an image"),
    (0, b"\x1f\x8b", "a gzip archive: unpack it"),
    (0, b"pk\x03\x04", "a zip archive: unpack it"),
    (0, b"%pdf", "a PDF document"),
    (0, b"\x89hdf", "an HDF5 file"),
    (0, b"matlab 5.0", "a MATLAB file: save its arrays as PNG or .npy"),
    (0, b"v/1\x01", "an OpenEXR image: save it as TIFF of floats"),
    (0, b"<svg", "an SVG drawing"),
    (4, b"ftyphei", "an HEIC image: save it as PNG"),
    (4, b"ftypmif", "an HEIC image: save it as PNG"),
    (4, b"ftypavif", "an AVIF image: save it as PNG"),
    (4, b"ftyp", "a video: save its frames as PNG"),
    (8, b"avi ", "a video: save its frames as PNG"),
    (128, b"dicm", "a DICOM file, which is fused with another volume"),
    (344, b"n+1\x00", _NIFTI),
]
HEAD = 1024
"""Bytes that decide."""


def recognise(head: bytes, name: str = "") -> str | None:
    """What a file is that begins with these bytes; None if they are of no kind in the list.

    A name may tell what a gzip archive holds.

    >>> from mambadfuse.data.signatures import recognise
    >>> recognise(b"%PDF-1.7")
    'a PDF document'
    """
    if name.lower().endswith(".nii.gz"):
        return _NIFTI
    start, text = head.lower(), head.lstrip().lower()
    return next(
        (kind for at, signature, kind in _SIGNATURES if (start[at:] if at else text).startswith(signature)),
        None,
    )
