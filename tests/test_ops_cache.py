"""Compiled kernels on disk must not outlive the code they were made from."""

import hashlib
from pathlib import Path
from types import ModuleType

import pytest

from mambadfuse.ops import conv_kernels, functions, kernel, lanes, path_gradients, path_kernels, scan_kernels

VECTORS = (kernel, lanes, functions)


@pytest.mark.parametrize(
    ("module", "inlined"),
    [
        (scan_kernels, VECTORS),
        (conv_kernels, VECTORS),
        (path_kernels, (*VECTORS, scan_kernels)),
        (path_gradients, (*VECTORS, scan_kernels, path_kernels)),
    ],
)
def test_kernel_files_change_with_the_code_they_inline(module: ModuleType, inlined: tuple[ModuleType, ...]):
    sources = b"".join(Path(m.__file__).read_bytes() for m in inlined)
    digest = hashlib.sha256(sources).hexdigest()[:12]
    assert digest == module.BUILT_ON, f"set BUILT_ON = {digest!r} in {module.__file__}"
