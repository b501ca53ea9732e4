"""The report of the doctor: true for this machine, with a remedy for every problem, whatever a check raises."""

import os
import subprocess
import sys
from importlib import import_module

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


@pytest.mark.parametrize("module", ["ipywidgets", "jupyter_client.kernelspec"])
def test_missing_notebook_parts_come_with_their_command(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    text, _ = doctor.report()
    name = "widgets" if module == "ipywidgets" else "Jupyter kernel"
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
