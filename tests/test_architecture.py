"""The house has floors: imports only go down, files stay small, no file names the machine it was made on."""

import ast
import re
import subprocess
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mambadfuse"

FLOORS = {
    1: ["files", "resources"],
    2: ["ops", "ops.*", "data", "data.*"],
    3: ["losses", "losses.*", "metrics", "metrics.*", "fusion.postprocess", "fusion.baselines"],
    4: ["models", "models.*"],
    5: ["fusion", "fusion.*"],
    6: ["evaluation", "evaluation.*"],
    7: ["plotting", "plotting.*"],
    8: ["training", "training.*"],
    9: ["ablation", "ablation.*"],
    10: ["analysis", "analysis.*"],
    11: ["cli", "cli.*", "widgets", "widgets.*", "notebook", "doctor", "__init__", "__main__"],
}

# The scan knows tensors only, and what reads or scores pictures knows nothing of the scan.
BARRED = {
    "ops": {"data", "losses", "metrics"},
    "data": {"ops", "losses", "metrics"},
    "losses": {"ops", "data"},
    "metrics": {"ops", "data"},
}


def name_of(path: Path) -> str:
    """mambadfuse/ops/chunked.py -> ops.chunked, mambadfuse/ops/__init__.py -> ops"""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def floor_of(name: str) -> int:
    """The floor of a module; 0 if it stands on none."""
    return next((floor for floor, names in FLOORS.items() if any(fnmatch(name, n) for n in names)), 0)


def package_of(name: str) -> str:
    return name.split(".")[0]


def target(dotted: str) -> str:
    """mambadfuse.ops.chunked.selective_scan -> ops.chunked; mambadfuse alone -> __init__"""
    name = dotted.removeprefix("mambadfuse").removeprefix(".")
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or "__init__"


def imports_of(name: str) -> set[str]:
    """The modules of the kit that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} line {node.lineno}: write the import in full, without dots"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {target(dotted) for dotted in found if dotted.split(".")[0] == "mambadfuse"} - {name}


def tracked_texts() -> list[tuple[str, str]]:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: there is no list of tracked files")
    texts = []
    for name in filter(None, listing.decode().split("\0")):
        try:
            texts.append((name, (ROOT / name).read_text(encoding="utf-8")))
        except (UnicodeDecodeError, FileNotFoundError):  # a picture, or a file deleted but not yet committed
            continue
    return texts


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_a_floor(name):
    assert floor_of(name), (
        f"mambadfuse.{name} stands on no floor: give it one in FLOORS of {Path(__file__).name}"
    )


@pytest.mark.parametrize("name", MODULES)
def test_imports_only_go_down(name):
    for imported in imports_of(name):
        assert floor_of(imported) <= floor_of(name), f"mambadfuse.{name} imports {imported}, upwards"
        assert package_of(imported) not in BARRED.get(package_of(name), ()), (
            f"mambadfuse.{name} may not know {imported}"
        )


def test_no_circle_of_imports():
    TopologicalSorter({name: imports_of(name) for name in MODULES}).prepare()  # raises CycleError


@pytest.mark.parametrize("name", MODULES)
def test_one_concept_a_file(name):
    lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= 320, f"mambadfuse.{name} has {lines} lines: it holds two concepts"
    assert not {"utils", "helpers", "misc", "common"} & set(name.split(".")), (
        f"{name} does not say what it holds"
    )


def test_no_file_names_the_machine_it_was_made_on():
    private = re.compile(r"(?<![\w.~-])(/(?:hom[e]|User[s]|roo[t]|wor[k])/|[A-Z]:\\+User[s]\\)[\w.-]+")
    leaks = [f"{name}: {hit[0]}" for name, text in tracked_texts() for hit in private.finditer(text)]
    assert not leaks, leaks
