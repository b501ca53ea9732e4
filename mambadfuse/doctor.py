"""The report of ``mambadfuse doctor``: which parts of the kit work on this machine, and how to get the others.

Only the standard library is imported at the top: the report must work where everything else is missing or broken.
"""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mambadfuse.ops.providers import Found

OK, OPTIONAL, BROKEN = "ok", "--", "!!"
OLDEST_PYTHON = (3, 11)
OLDEST_PYTORCH = (2, 7)
VARIABLES = ("MAMBADFUSE_BROWSER", "MAMBADFUSE_DATA", "MAMBADFUSE_HUB_KERNELS", "MAMBADFUSE_PROFILE")
_UNTRIED = ", but not run on a GPU by us: make gpu compares it with the reference"
_EXTRAS = 'pip install -e ".[notebooks]"'


@dataclass(frozen=True)
class Check:
    """One line of the report: the status (OK, OPTIONAL or BROKEN), what was found, and a remedy."""

    name: str
    status: str
    detail: str
    remedy: str = ""


def _python(name: str) -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return Check(
            name, BROKEN, f"{version}, expected {oldest} or newer", f"make env PYTHON=python{oldest}"
        )
    return Check(name, OK, f"{version} at {sys.executable}")


def _pytorch(name: str) -> Check:
    try:
        import torch
    except Exception as error:  # a broken installation can raise anything
        return Check(name, BROKEN, f"{type(error).__name__}: {error}", "pip install --force-reinstall torch")
    if tuple(map(int, torch.__version__.split(".")[:2])) < OLDEST_PYTORCH:
        oldest = ".".join(map(str, OLDEST_PYTORCH))
        detail = f"{torch.__version__}, expected {oldest} or newer"
        return Check(name, BROKEN, detail, f'pip install --upgrade "torch>={oldest}"')
    return Check(name, OK, torch.__version__)


def _device(name: str) -> Check:
    import torch

    if torch.cuda.is_available():
        return Check(name, OK, torch.cuda.get_device_name())
    detail = f"CPU, threads: {torch.get_num_threads()}"
    if torch.backends.mps.is_available():
        return Check(name, OK, f"{detail}; the Apple GPU (MPS) is used only on request")
    if shutil.which("nvidia-smi"):
        why, remedy = _unused_nvidia_gpu(torch.version.cuda)
        return Check(name, OPTIONAL, f"{detail}; there is nvidia-smi, but {why}", remedy)
    return Check(name, OK, detail)


def _unused_nvidia_gpu(cuda: str | None) -> tuple[str, str]:
    """Why PyTorch, built for that version of CUDA, finds no NVIDIA GPU, and what to do about it."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return f"CUDA_VISIBLE_DEVICES={visible} leaves PyTorch no GPU", "unset CUDA_VISIBLE_DEVICES"
    if cuda is None and sys.platform == "linux":
        return "this PyTorch is built without CUDA", "pip uninstall -y torch; pip install torch"
    if cuda is None:
        return (
            "this PyTorch is built without CUDA",
            "the page Get Started of pytorch.org shows the command for the CUDA version that nvidia-smi shows",
        )
    return (
        f"this PyTorch, built for CUDA {cuda}, finds no GPU",
        f"if nvidia-smi shows a CUDA version below {cuda}, update the driver; in a container, start it with its GPUs "
        "(docker run --gpus all)",
    )


def _backend(name: str) -> Check:
    from mambadfuse.ops import backends

    backend = backends()[name.removeprefix("scan: ")]
    if backend.usable:
        return Check(name, OK, "usable" + (_UNTRIED if backend.name in ("triton", "cuda") else ""))
    return Check(name, OPTIONAL, backend.reason, backend.remedy)


def _compiler(name: str) -> Check:
    """What Triton compiles its access to the GPU's driver with, once for each version and user."""
    import torch

    if not (torch.cuda.is_available() and find_spec("triton")):
        return Check(name, OPTIONAL, "not needed: PyTorch finds no GPU, or Triton is not installed")
    named = os.environ.get("CC")
    compiler = shutil.which(named) if named else shutil.which("gcc") or shutil.which("clang")
    headers = Path(sysconfig.get_paths()["include"])
    missing = [] if compiler else [f"the C compiler {named}, named in CC" if named else "gcc or clang"]
    if not (headers / "Python.h").exists():
        missing.append(f"Python.h in {headers}")
    if missing:
        detail = f"Triton needs, when it is first used, what is missing here: {' and '.join(missing)}"
        return Check(name, OPTIONAL, detail, "apt-get install gcc python3-dev (on Debian and Ubuntu)")
    return Check(name, OK, f"{compiler}, headers in {headers}")


def _libraries(name: str) -> Check:
    from mambadfuse.ops.providers import libraries_here

    return _provider(name, libraries_here())


def _wheels(name: str) -> Check:
    from mambadfuse.ops.providers import wheels_here

    return _provider(name, wheels_here())


def _hub(name: str) -> Check:
    from mambadfuse.ops.providers import hub_here

    return _provider(name, hub_here())


def _provider(name: str, found: "Found") -> Check:
    return Check(name, OK if found.ready else OPTIONAL, found.detail, found.remedy)


def _scan(name: str) -> Check:
    try:
        import torch

        from mambadfuse.ops import selective_scan

        x = torch.ones(1, 4, 2, device="cuda" if torch.cuda.is_available() else "cpu")  # (B, L, D)
        selective_scan(x, x, -x[0, :2], x, x)
    except Exception as error:
        remedy = "apply the remedy of one of the backends above"
        return Check(name, BROKEN, f"{type(error).__name__}: {error}", remedy)
    return Check(name, OK, f"four tokens scanned on {x.device}")


def _variables(name: str) -> Check:
    given = sorted(variable for variable in os.environ if variable.startswith("MAMBADFUSE_"))
    unknown = [variable for variable in given if variable not in VARIABLES]
    if unknown:
        detail = f"unknown, and without effect: {', '.join(unknown)}"
        return Check(name, OPTIONAL, detail, f"the kit reads {', '.join(VARIABLES)}")
    hub = os.environ.get("MAMBADFUSE_HUB_KERNELS", "")
    if hub not in ("", "0", "1"):
        return Check(name, OPTIONAL, f"MAMBADFUSE_HUB_KERNELS={hub} has no effect", "only 1 asks for the Hub")
    return Check(
        name, OK, ", ".join(f"{variable}={os.environ[variable]}" for variable in given) or "none set"
    )


def _widgets(name: str) -> Check:
    try:
        version = import_module("ipywidgets").__version__
    except ImportError as error:
        return Check(name, OPTIONAL, f"the panels of the notebooks need ipywidgets: {error}", _EXTRAS)
    return Check(name, OK, f"ipywidgets {version}")


def _wheel(name: str) -> Check:
    try:
        version = import_module("ipyevents").__version__
    except ImportError as error:
        return Check(
            name, OPTIONAL, f"to zoom a picture by the mouse wheel needs ipyevents: {error}", _EXTRAS
        )
    return Check(name, OK, f"ipyevents {version}")


def _kernel(name: str) -> Check:
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError as error:
        return Check(name, OPTIONAL, f"the notebooks need Jupyter: {error}", _EXTRAS)
    kernels = KernelSpecManager().find_kernel_specs()
    if "python3" not in kernels:
        found = ", ".join(kernels) or "none"
        return Check(name, OPTIONAL, f"kernel 'python3' not found, found: {found}", _EXTRAS)
    return Check(name, OK, f"python3 at {kernels['python3']}")


def _weights(name: str) -> Check:
    from mambadfuse.resources import resource_folder

    remedy = "install the kit again from a full checkout (git checkout -- weights)"
    try:
        files = sorted(file.stem for file in resource_folder("weights").glob("*.safetensors"))
    except FileNotFoundError as error:
        return Check(name, BROKEN, str(error), remedy)
    if not files:
        return Check(name, BROKEN, f"no *.safetensors in {resource_folder('weights')}", remedy)
    return Check(name, OK, ", ".join(files))


def _samples(name: str) -> Check:
    from mambadfuse.resources import resource_folder

    try:
        pictures = list(resource_folder("data_samples").rglob("*.png"))
    except FileNotFoundError as error:
        return Check(name, OPTIONAL, str(error), "git checkout -- data_samples")
    if not pictures:
        return Check(name, OPTIONAL, "no images in data_samples", "git checkout -- data_samples")
    return Check(name, OK, f"{len(pictures)} images in {resource_folder('data_samples')}")


def _available_bytes() -> int | None:
    """Memory that is still available to programs; None if the system does not say."""
    if sys.platform == "win32":
        status = (ctypes.c_ulonglong * 8)()  # MEMORYSTATUSEX: length and load in one, total, available, ...
        status[0] = ctypes.sizeof(status)
        return status[2] if ctypes.windll.kernel32.GlobalMemoryStatusEx(status) else None
    if sys.platform == "darwin":
        text = subprocess.run(["vm_stat"], capture_output=True, text=True, check=True, timeout=10).stdout
        pages = re.findall(r"Pages (?:free|inactive):\s+(\d+)", text)
        return os.sysconf("SC_PAGE_SIZE") * sum(map(int, pages))
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return int(found[1]) * 1024 if found else None


def _memory(name: str) -> Check:
    free = _available_bytes()
    if free is None:
        return Check(name, OPTIONAL, "unknown")
    if free < 2e9:
        remedy = "close other programs, or fuse smaller images"
        return Check(name, OPTIONAL, f"{free / 1e9:.1f} GB free, expected 2 GB", remedy)
    return Check(name, OK, f"{free / 1e9:.1f} GB free")


def _disk(name: str) -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    if free < 1e9:
        return Check(
            name, OPTIONAL, f"{free / 1e9:.1f} GB free here, expected 1 GB", "free some space on this disk"
        )
    return Check(name, OK, f"{free / 1e9:.0f} GB free here")


def _kernel_cache(name: str) -> Check:
    import mambadfuse.ops.cpu

    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(mambadfuse.ops.cpu.__file__).parent)
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(existing, os.W_OK):
        remedy = "set NUMBA_CACHE_DIR to a writable folder"
        return Check(
            name, OPTIONAL, f"cannot write to {folder}: kernels may be compiled again in every run", remedy
        )
    return Check(name, OK, f"compiled kernels are cached in {folder}")


CHECKS: dict[str, Callable[[str], Check]] = {
    "Python": _python,
    "PyTorch": _pytorch,
    "device": _device,
    "scan: reference": _backend,
    "scan: torch": _backend,
    "scan: numba": _backend,
    "scan: triton": _backend,
    "triton: compiler": _compiler,
    "scan: cuda": _backend,
    "cuda: libraries": _libraries,
    "cuda: wheels": _wheels,
    "cuda: hub": _hub,
    "scan runs": _scan,
    "variables": _variables,
    "weights": _weights,
    "samples": _samples,
    "widgets": _widgets,
    "mouse wheel": _wheel,
    "Jupyter kernel": _kernel,
    "memory": _memory,
    "disk": _disk,
    "numba cache": _kernel_cache,
}


def _examine(name: str) -> Check:
    try:
        return CHECKS[name](name)
    except Exception as error:  # one failing check must not hide the others
        return Check(name, OPTIONAL, f"could not be checked: {type(error).__name__}: {error}")


def _lines(check: Check, width: int) -> list[str]:
    """The check as aligned text: one line, then further lines and the steps of the remedy, indented."""
    first, *rest = check.detail.splitlines() or [""]
    steps = check.remedy.replace("; ", "\n").splitlines()
    rest += [f"  {'remedy:' if step is steps[0] else '       '} {step}" for step in steps]
    indent = " " * (width + 6)
    return [f"{check.status}  {check.name:<{width}}  {first}", *(indent + line for line in rest)]


def report() -> tuple[str, bool]:
    """Checks every part of the kit on this machine; never raises.

    Returns:
        The report as text, one line for each part, marked ``ok`` (works), ``--`` (optional or unknown) or ``!!``
        (needed); and whether the kit can run, that is, no line is marked ``!!``.
    """
    checks = [_examine(name) for name in CHECKS]
    healthy = all(check.status != BROKEN for check in checks)
    width = max(len(check.name) for check in checks)
    lines = [line for check in checks for line in _lines(check, width)]
    verdict = (
        "The kit can run here." if healthy else "The kit cannot run yet: start with the lines marked !!."
    )
    legend = f"({OK} works, {OPTIONAL} optional or unknown, {BROKEN} needed)"
    return "\n".join([*lines, "", f"{verdict} {legend}"]), healthy
