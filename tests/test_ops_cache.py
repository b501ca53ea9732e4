"""Compiled kernels on disk must not outlive the code they were made from."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mambadfuse
from mambadfuse.ops.cpu.kernel import source_digest

SOURCES = Path(mambadfuse.__file__).parent / "ops" / "cpu"
COMPUTE = """
from pathlib import Path
import torch
import mambadfuse.ops
from mambadfuse.ops.cpu.causal_conv1d import conv_forward

with torch.no_grad():
    y = mambadfuse.ops.causal_conv1d(torch.ones(1, 1, 16), torch.ones(16, 1), activation="silu", backend="numba")
loaded = sum(conv_forward.compiled.stats.cache_hits.values())
print(Path(mambadfuse.__file__).parent, y[0, 0, 0].item(), loaded)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's operations that a test may edit."""
    copy = tmp_path / "mambadfuse"
    shutil.copytree(SOURCES.parent, copy / "ops", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "__init__.py").write_text("")
    return copy


def compute(package: Path, **environment: str) -> tuple[float, bool]:
    """silu(1) by the kernel of this copy in a new process, and whether it came from the cache on disk."""
    inherited = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    result = subprocess.run(
        [sys.executable, "-c", COMPUTE], env={**inherited, "PYTHONPATH": str(package.parent), **environment},
        cwd=package.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    folder, y, loaded = result.stdout.split()
    assert Path(folder) == package
    return float(y), bool(int(loaded))


@pytest.mark.parametrize("name", sorted(path.name for path in SOURCES.glob("*.py")))
def test_the_digest_changes_with_every_source_file(package: Path, name: str):
    folder = package / "ops" / "cpu"
    before = source_digest(folder)
    with (folder / name).open("a") as file:
        file.write("# changed\n")
    assert source_digest(folder) != before


def test_the_digest_changes_with_the_name_of_a_file_but_not_with_its_date(package: Path):
    folder = package / "ops" / "cpu"
    before = source_digest(folder)
    os.utime(folder / "simd.py", (0, 0))
    assert source_digest(folder) == before == source_digest(SOURCES)
    (folder / "simd.py").rename(folder / "vectors.py")
    assert source_digest(folder) != before


@pytest.mark.slow
def test_an_edited_helper_is_compiled_anew(package: Path):
    assert compute(package) == (pytest.approx(0.7310586), False)
    assert compute(package) == (pytest.approx(0.7310586), True)
    helper = package / "ops" / "cpu" / "simd_math.py"
    text = helper.read_text(encoding="utf-8")
    assert text.count("return ONE / (exp2(") == 1
    helper.write_text(text.replace("return ONE / (exp2(", "return TWO / (exp2("), encoding="utf-8")
    assert compute(package) == (pytest.approx(2 * 0.7310586), False)
    assert compute(package) == (pytest.approx(2 * 0.7310586), True)


@pytest.mark.slow
def test_compiled_kernels_go_where_numba_is_told_to_put_them(package: Path, tmp_path: Path):
    chosen = tmp_path / "chosen"
    assert compute(package, NUMBA_CACHE_DIR=str(chosen)) == (pytest.approx(0.7310586), False)
    assert list(chosen.rglob("*.nbi"))
    assert not list(package.rglob("*.nbi"))
    assert compute(package, NUMBA_CACHE_DIR=str(chosen)) == (pytest.approx(0.7310586), True)


@pytest.mark.slow
def test_an_installation_that_cannot_be_written_to_keeps_its_kernels_in_the_user_cache(
    package: Path, tmp_path: Path
):
    (package / "ops" / "cpu" / "__pycache__").write_text("a file where Numba wants a folder")
    places = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    assert compute(package, **places) == (pytest.approx(0.7310586), False)
    assert compute(package, **places) == (pytest.approx(0.7310586), True)
