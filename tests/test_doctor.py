"""The report of the doctor: true for this machine, with a remedy for every problem, whatever a check raises."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

import pytest
import torch

from mambadfuse import doctor, ops
from mambadfuse.ops import interface


def line(text: str, name: str) -> str:
    return next(row for row in text.splitlines() if row[4:].startswith(name + " "))


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # "import torch" now raises ImportError


@pytest.fixture
def no_backend(monkeypatch):
    broken = interface.Backend("any", False, "no compiler", "install a compiler")
    monkeypatch.setattr(interface, "_probe", lambda name: broken)


def test_this_machine_runs_the_scan():
    text, _ = doctor.report()
    for part in ("Python", "PyTorch", "scan: reference", "scan runs"):
        assert line(text, part).startswith(doctor.OK)


def test_every_backend_has_its_line():
    assert {f"scan: {name}" for name in ops.backends()} <= doctor.CHECKS.keys()


def test_lines_are_aligned():
    text, _ = doctor.report()
    columns = {len(f"{doctor.OK}  {name}") for name in doctor.CHECKS}
    for name in doctor.CHECKS:
        row = line(text, name)
        assert row[max(columns)] == " "
        assert row[max(columns) + 2] != " "


def test_old_python_is_not_ok(monkeypatch):
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (99, 0))
    text, healthy = doctor.report()
    assert not healthy
    assert "expected 99.0 or newer" in line(text, "Python")


@pytest.mark.usefixtures("no_torch")
def test_missing_torch_is_not_ok():
    text, healthy = doctor.report()
    assert not healthy
    assert line(text, "PyTorch").startswith(doctor.BROKEN)
    assert "torch" in text.split("remedy:")[1].splitlines()[0]


def test_old_torch_is_not_ok(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.6.0+cu124")
    text, healthy = doctor.report()
    assert not healthy
    assert "2.6.0+cu124, expected 2.7 or newer" in line(text, "PyTorch")
    assert 'remedy: pip install --upgrade "torch>=2.7"' in text


@pytest.mark.parametrize(
    ("cuda", "platform", "visible", "found", "remedy"),
    [
        (None, "linux", None, "built without CUDA", "pip install torch"),
        (None, "win32", None, "built without CUDA", "pytorch.org shows the command"),
        ("13.0", "linux", None, "built for CUDA 13.0, finds no GPU", "update the driver"),
        ("13.0", "linux", "-1", "CUDA_VISIBLE_DEVICES=-1", "unset CUDA_VISIBLE_DEVICES"),
    ],
)
def test_an_nvidia_gpu_out_of_reach_comes_with_the_way_to_it(
    monkeypatch, cuda, platform, visible, found, remedy
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    check = doctor.CHECKS["device"]("device")
    assert check.status == doctor.OPTIONAL
    assert found in check.detail
    assert remedy in check.remedy


@pytest.fixture
def triton_on_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(doctor, "find_spec", lambda name: name)
    monkeypatch.delenv("CC", raising=False)


def test_without_a_gpu_triton_needs_no_compiler(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "not needed" in doctor.CHECKS["triton: compiler"]("triton: compiler").detail


@pytest.mark.usefixtures("triton_on_a_gpu")
def test_a_compiler_and_headers_are_what_triton_needs(monkeypatch, tmp_path):
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr(shutil, "which", lambda name: None)
    check = doctor.CHECKS["triton: compiler"]("triton: compiler")
    assert check.status == doctor.OPTIONAL
    assert check.detail.endswith(f"missing here: gcc or clang and Python.h in {tmp_path}")
    assert check.remedy.startswith("apt-get install gcc python3-dev")

    monkeypatch.setenv("CC", "mycc")
    assert "the C compiler mycc, named in CC" in doctor.CHECKS["triton: compiler"]("").detail

    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor.CHECKS["triton: compiler"]("").status == doctor.OK


@pytest.mark.parametrize(
    ("variable", "value", "status", "said"),
    [
        ("MAMBADFUSE_HUB_KERNEL", "1", doctor.OPTIONAL, "unknown, and without effect: MAMBADFUSE_HUB_KERNEL"),
        ("MAMBADFUSE_HUB_KERNELS", "true", doctor.OPTIONAL, "MAMBADFUSE_HUB_KERNELS=true has no effect"),
        ("MAMBADFUSE_HUB_KERNELS", "1", doctor.OK, "MAMBADFUSE_HUB_KERNELS=1"),
    ],
)
def test_a_variable_without_effect_is_pointed_out(monkeypatch, variable, value, status, said):
    for name in doctor.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    check = doctor.CHECKS["variables"]("variables")
    assert (check.status, check.detail) == (status, said)


def test_the_doctor_knows_every_variable_that_the_package_reads():
    files = Path(doctor.__file__).parent.rglob("*.py")
    read = {name for file in files for name in re.findall(r"MAMBADFUSE_[A-Z_]+", file.read_text("utf-8"))}
    assert read - {"MAMBADFUSE_"} <= set(doctor.VARIABLES)


def test_what_runs_on_a_gpu_is_said_to_be_untried(monkeypatch):
    monkeypatch.setattr(interface, "_probe", lambda name: interface.Backend(name, True))
    for name in ops.backends():
        said = doctor.CHECKS[f"scan: {name}"](f"scan: {name}").detail
        assert said.startswith("usable")
        assert ("not run on a GPU by us: make gpu" in said) == (name in ("triton", "cuda"))


@pytest.mark.usefixtures("no_backend")
def test_no_usable_backend_is_not_ok():
    text, healthy = doctor.report()
    assert not healthy
    assert line(text, "scan runs").startswith(doctor.BROKEN)
    assert "remedy: install a compiler" in text


def test_one_unusable_backend_is_only_a_warning(monkeypatch):
    probe = interface._probe
    broken = interface.Backend("cuda", False, "no GPU\nat all", "first line\nsecond line")
    monkeypatch.setattr(interface, "_probe", lambda name: broken if name == "cuda" else probe(name))
    text, _ = doctor.report()
    assert line(text, "scan: cuda").startswith(doctor.OPTIONAL)
    assert line(text, "scan runs").startswith(doctor.OK)
    assert "second line" in text


def test_cuda_remedy_holds_the_exact_command(monkeypatch):
    monkeypatch.setattr(interface, "_probe", interface._probe.__wrapped__)  # bypass the cache
    monkeypatch.setattr(torch.version, "cuda", None)
    text, _ = doctor.report()
    assert line(text, "scan: cuda").startswith(doctor.OPTIONAL)
    assert any(row.strip().startswith("pip install --no-build-isolation") for row in text.splitlines())


def test_weights_are_needed_and_samples_are_optional(monkeypatch, tmp_path):
    monkeypatch.setattr(import_module("mambadfuse.resources"), "resource_folder", lambda name: tmp_path)
    text, healthy = doctor.report()
    assert not healthy
    assert line(text, "weights").startswith(doctor.BROKEN)
    assert line(text, "samples").startswith(doctor.OPTIONAL)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("ipywidgets", "widgets"),
        ("ipyevents", "mouse wheel"),
        ("jupyter_client.kernelspec", "Jupyter kernel"),
    ],
)
def test_missing_notebook_parts_come_with_their_command(monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    text, _ = doctor.report()
    assert line(text, name).startswith(doctor.OPTIONAL)
    assert 'pip install -e ".[notebooks]"' in text


def test_memory_is_reported_in_gigabytes():
    text, _ = doctor.report()
    assert "GB free" in line(text, "memory")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no page size to ask for")
def test_memory_on_a_mac_counts_free_and_inactive_pages(monkeypatch):
    output = "Pages free:    100.\nPages active:  999.\nPages inactive: 23.\n"
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, stdout=output))
    monkeypatch.setattr(os, "sysconf", lambda name: 16384)
    assert doctor._available_bytes() == 123 * 16384


@pytest.mark.parametrize("name", doctor.CHECKS)
def test_a_check_that_raises_does_not_stop_the_report(monkeypatch, name):
    def boom(name: str) -> doctor.Check:
        raise OSError("disk on fire")

    monkeypatch.setitem(doctor.CHECKS, name, boom)
    text, _ = doctor.report()
    assert "OSError: disk on fire" in line(text, name)
