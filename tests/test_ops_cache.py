"""Compiled kernels on disk must not outlive the code they were made from."""

import hashlib
from pathlib import Path
from types import ModuleType

import pytest

from mambadfuse.ops.cpu import (
    causal_conv1d,
    kernel,
    mamba_inner_backward,
    mamba_inner_forward,
    selective_scan,
    simd,
    simd_math,
)

VECTORS = (kernel, simd, simd_math)


@pytest.mark.parametrize(
    ("module", "inlined"),
    [
        (selective_scan, VECTORS),
        (causal_conv1d, VECTORS),
        (mamba_inner_forward, (*VECTORS, selective_scan)),
        (mamba_inner_backward, (*VECTORS, selective_scan, mamba_inner_forward)),
    ],
)
def test_kernel_files_change_with_the_code_they_inline(module: ModuleType, inlined: tuple[ModuleType, ...]):
    sources = b"".join(Path(m.__file__).read_bytes() for m in inlined)
    digest = hashlib.sha256(sources).hexdigest()[:12]
    assert digest == module.BUILT_ON, f"set BUILT_ON = {digest!r} in {module.__file__}"
