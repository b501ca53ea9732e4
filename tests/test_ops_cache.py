"""Compiled kernels on disk must not outlive the code they were made from."""

import hashlib
from pathlib import Path

import pytest

from mambadfuse.ops import conv_kernels, kernel, lanes, scan_kernels


@pytest.mark.parametrize("module", [scan_kernels, conv_kernels])
def test_kernel_files_change_with_the_code_they_inline(module):
    sources = b"".join(Path(m.__file__).read_bytes() for m in (kernel, lanes))
    digest = hashlib.sha256(sources).hexdigest()[:12]
    assert digest == module.BUILT_ON, f"set BUILT_ON = {digest!r} in {module.__file__}"
