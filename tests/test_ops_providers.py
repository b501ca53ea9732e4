"""Where the CUDA kernels come from: stand-ins for the libraries, for the package kernels and for the GPU."""

import re
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
import torch

from mambadfuse import doctor
from mambadfuse.ops import cuda, providers


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **contents) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture(autouse=True)
def _nothing_is_installed(monkeypatch: pytest.MonkeyPatch):
    """A machine with an NVIDIA GPU, PyTorch for CUDA 13.0, and nothing else."""
    monkeypatch.delenv(providers.HUB_VARIABLE, raising=False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(providers.shutil, "which", lambda name: None)
    for name in ("mamba_ssm", "mamba_ssm.ops.selective_scan_interface", "causal_conv1d", "kernels"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it raises ModuleNotFoundError
    monkeypatch.setattr(providers, "find_spec", lambda name: sys.modules.get(name))
    providers._downloaded.cache_clear()
    yield
    providers._downloaded.cache_clear()


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch):
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        stand_in(monkeypatch, name)
    stand_in(monkeypatch, "mamba_ssm.ops.selective_scan_interface", selective_scan_fn="scan of mamba-ssm")
    stand_in(monkeypatch, "causal_conv1d", causal_conv1d_fn="convolution of causal-conv1d")


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The package kernels, and what was asked of it."""
    asked = []

    def get_kernel(repo_id: str, *, version: int) -> ModuleType:
        asked.append((repo_id, version))
        module = ModuleType(repo_id)
        module.selective_scan_fn, module.causal_conv1d_fn = f"scan of {repo_id}", f"convolution of {repo_id}"
        return module

    stand_in(monkeypatch, "kernels", get_kernel=get_kernel)
    return asked


@pytest.mark.usefixtures("libraries")
def test_nothing_is_downloaded_unless_it_is_asked_for(downloads, monkeypatch):
    for value in (None, "", "0", "yes"):
        if value is not None:
            monkeypatch.setenv(providers.HUB_VARIABLE, value)
        assert providers.kernel("selective_scan_fn") == "scan of mamba-ssm"
        assert providers.kernel("causal_conv1d_fn") == "convolution of causal-conv1d"
        assert cuda.unusable() is None
    assert downloads == []


@pytest.mark.usefixtures("libraries")
def test_the_hub_serves_both_kernels_once_it_is_asked(downloads, monkeypatch):
    monkeypatch.setenv(providers.HUB_VARIABLE, "1")
    for _ in range(2):
        assert providers.kernel("selective_scan_fn") == "scan of kernels-community/mamba-ssm"
        assert providers.kernel("causal_conv1d_fn") == "convolution of kernels-community/causal-conv1d"
    assert downloads == [("kernels-community/mamba-ssm", 1), ("kernels-community/causal-conv1d", 1)]
    assert cuda.unusable() is None


def test_a_download_that_fails_is_a_reason_and_no_error(monkeypatch):
    def get_kernel(repo_id: str, *, version: int) -> ModuleType:
        raise FileNotFoundError("no build for torch 2.13 and CUDA 13.0")

    stand_in(monkeypatch, "kernels", get_kernel=get_kernel)
    monkeypatch.setenv(providers.HUB_VARIABLE, "1")
    reason, remedy = cuda.unusable()
    assert reason == "FileNotFoundError: no build for torch 2.13 and CUDA 13.0"
    assert 'pip install -e ".[kernels]"' in remedy


def test_the_doctor_says_which_a_machine_can_have_and_the_commands(monkeypatch):
    text, _ = doctor.report()
    lines = text.splitlines()
    libraries, wheels, hub, after = (
        next(i for i, row in enumerate(lines) if f"{name} " in row)
        for name in ("cuda: libraries", "cuda: wheels", "cuda: hub", "scan runs")
    )
    assert "cannot be compiled here without nvcc, of CUDA 13.0" in lines[libraries]
    compiling = "\n".join(lines[libraries:wheels])
    assert compiling.index("CUDA toolkit 13.0") < compiling.index("pip install --no-build-isolation")
    assert "where an index of third parties has them for Python 3." in lines[wheels]
    assert f"PyTorch {torch.__version__}, CUDA 13.0" in lines[wheels]
    binary = (
        "pip install --only-binary causal-conv1d,mamba-ssm --extra-index-url INDEX causal-conv1d mamba-ssm"
    )
    assert binary in "\n".join(lines[wheels:hub])
    assert "can be downloaded here, but only if MAMBADFUSE_HUB_KERNELS=1 asks for it" in lines[hub]
    assert 'pip install -e ".[kernels]"' in "\n".join(lines[hub:after])
    hosts = r"http|\w\.(com|org|io|co|net)\b"
    assert not re.search(hosts, "\n".join(lines[libraries:after]))

    monkeypatch.setattr(providers.shutil, "which", lambda name: "/usr/bin/nvcc")
    assert "can be compiled here, for CUDA 13.0" in doctor.report()[0]


@pytest.mark.usefixtures("libraries")
def test_the_doctor_sees_what_is_there(downloads, monkeypatch):
    for found in (providers.libraries_here(), providers.wheels_here()):
        assert found == (True, "mamba-ssm and causal-conv1d are installed", "")
    monkeypatch.setenv(providers.HUB_VARIABLE, "1")
    assert providers.hub_here().ready
    assert downloads == []
    monkeypatch.setitem(sys.modules, "kernels", None)
    assert "the package kernels is missing" in providers.hub_here().detail


def test_neither_is_for_a_machine_without_an_nvidia_gpu(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    for found in (providers.libraries_here(), providers.wheels_here(), providers.hub_here()):
        assert not found.ready
        assert found.detail.startswith("not for this machine: PyTorch")
        assert found.remedy == ""
