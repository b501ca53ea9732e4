"""The house has floors: imports only go down, each file holds one concept, and docs/architecture.md maps them all."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from PIL import Image
from training_cases import toy_pairs, write_folders

from mambadfuse.data.crops import PairedCrops
from mambadfuse.data.samples import samples
from mambadfuse.data.training_pairs import find_training_pairs
from mambadfuse.training import configure
from mambadfuse.training.state import TrainingState
from mambadfuse.training.step import TrainingSteps, accelerator_for

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mambadfuse"

FLOORS = {
    1: ["files", "json_lines", "locks", "resources", "components", "source_code"],
    2: ["ops", "ops.*", "data", "data.*"],
    3: [
        "losses",
        "losses.*",
        "metrics",
        "metrics.*",
        "alignment",
        "alignment.*",
        "fusion.postprocess",
        "fusion.baselines",
    ],
    4: ["models", "models.*"],
    5: ["fusion", "fusion.*"],
    6: ["evaluation", "evaluation.*"],
    7: ["plotting", "plotting.*"],
    8: ["training", "training.*"],
    9: ["ablation", "ablation.*"],
    10: ["detection", "detection.*"],
    11: ["analysis", "analysis.*"],
    12: ["course", "course.*"],
    13: ["cli", "cli.*", "widgets", "widgets.*", "notebook", "doctor", "__init__", "__main__"],
}

# The scan knows tensors only, and what reads or scores images knows nothing of the scan.
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
        except (UnicodeDecodeError, FileNotFoundError):  # an image, or a file deleted but not yet committed
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
def test_the_name_of_a_file_says_what_it_holds(name):
    assert not {"utils", "helpers", "misc", "common"} & set(name.split(".")), (
        f"{name} does not say what it holds: one concept a file, named after it"
    )


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize("name", MODULES)
def test_no_private_name_is_imported(name):
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mambadfuse":
            private = [alias.name for alias in node.names if is_private(alias.name)]
            assert not private, (
                f"mambadfuse.{name} line {node.lineno} imports {', '.join(private)} of {node.module}: "
                "what another file uses is public, without an underscore"
            )


EXECUTION = re.compile(r"tile|stream|pipeline|kernel(?!_size)")  # kernel_size is an attribute of PyTorch's


def docstrings_of(tree: ast.Module) -> list[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented)]


def code_of(tree: ast.Module) -> str:
    """The source without comments and without texts that stand alone, docstrings among them."""
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [
                part
                for part in body
                if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ] or [ast.Pass()]
    return ast.unparse(tree)


@pytest.mark.parametrize("name", [name for name in MODULES if package_of(name) == "models"])
def test_only_execution_knows_how_the_network_is_executed(name):
    """The other files of the network are equations; a docstring may point to the execution once."""
    if name == "models.execution":
        return
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    spoken = EXECUTION.findall("\n".join(docstrings_of(tree)))
    assert len(spoken) <= 1, f"the docstrings of mambadfuse.{name} speak of {', '.join(spoken)}"
    found = [line.strip() for line in code_of(tree).splitlines() if EXECUTION.search(line)]
    assert not found, f"mambadfuse.{name}: these lines belong in models/execution.py: {found}"


MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def folders_of_the_map() -> dict[str, list[str]]:
    """The names in each table of the map: {"ops/cpu/": ["simd.py", ...], ...}; single files stand in ""."""
    sections = re.split(r"^### `([\w/]+)`$", MAP, flags=re.M)[1:]
    return {
        "" if folder == "mambadfuse/" else folder: re.findall(r"^\| `(\w+\.py)` \|", text, flags=re.M)
        for folder, text in zip(sections[::2], sections[1::2], strict=True)
    }


def test_the_map_names_every_file_of_the_package_once_and_no_other():
    files = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("[!_]*.py")}
    named = [folder + name for folder, names in folders_of_the_map().items() for name in names]

    def table(file: str) -> str:
        return f"### `{file.rpartition('/')[0] or 'mambadfuse'}/`"

    wrong = [
        *(f"add a row for `{Path(file).name}` below {table(file)}" for file in sorted(files - set(named))),
        *(f"delete `{Path(file).name}` below {table(file)}" for file in sorted(set(named) - files)),
        *(f"keep one of the rows of `{file}`" for file in sorted(files) if named.count(file) > 1),
    ]
    assert not wrong, "docs/architecture.md: " + "; ".join(wrong)


def test_the_map_goes_down_the_floors():
    highest = {
        folder: max(floor_of(name_of(PACKAGE / folder / file)) for file in names)
        for folder, names in folders_of_the_map().items()
        if folder and all((PACKAGE / folder / file).exists() for file in names)
    }
    assert list(highest.values()) == sorted(highest.values(), reverse=True), highest


WALKS = {
    "One pair of images, from `mambadfuse fuse` to the file": "fuse --a a/0.png --b b/0.png --out fused.png",
    "A training run": "train --pairs a b --out mine.safetensors --budget minutes --steps 2",
}
TRACER = """
import sys, threading
import mambadfuse.cli
package, files = sys.argv[1], set()
def note(frame, event, _):
    if event == "call" and frame.f_code.co_flags & 1:  # a function, not the body of a module or a class
        files.add(frame.f_code.co_filename.replace(chr(92), "/").removeprefix(package))
threading.setprofile(note)
sys.setprofile(note)
code = mambadfuse.cli.main(sys.argv[2:])
sys.setprofile(None)
print(*files, sep="\\n")
sys.exit(code)
"""


def files_of_the_walk(title: str) -> set[str]:
    """The files that a section of the map names: 5 to 15."""
    walk = re.search(rf"^## {re.escape(title)}\n(.*?)^## ", MAP, flags=re.M | re.S)[1]
    named = set(re.findall(r"`([\w/]+\.py)`", walk))
    assert 5 <= len(named) <= 15, f"docs/architecture.md, {title}: {len(named)} files"
    return named


@pytest.mark.slow
@pytest.mark.parametrize("title", WALKS)
def test_the_walks_through_the_map_are_walked(title, tmp_path):
    """Every file that a walk names is entered by a real run, seen by Python's profiler."""
    named = files_of_the_walk(title)
    pair = samples("ivf")[0]
    for side, source in (("a", pair.a), ("b", pair.b)):
        (tmp_path / side).mkdir()
        with Image.open(source) as picture:
            picture.crop((0, 0, 128, 64)).save(tmp_path / side / "0.png")
    command = [sys.executable, "-c", TRACER, f"{PACKAGE.as_posix()}/", *WALKS[title].split()]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    idle = sorted(named - set(done.stdout.splitlines()))
    assert not idle, f"docs/architecture.md, {title}: the run never enters {', '.join(idle)}"


def files_entered(call: Callable[[], object]) -> set[str]:
    """The files of the package in which a function runs during this call, seen by Python's profiler."""
    codes = set()
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, _: codes.add(frame.f_code) if event == "call" else None)
    try:
        call()
    finally:
        sys.setprofile(before)
    files = {Path(code.co_filename) for code in codes if code.co_flags & inspect.CO_OPTIMIZED}
    return {file.relative_to(PACKAGE).as_posix() for file in files if file.is_relative_to(PACKAGE)}


@pytest.mark.slow
def test_a_training_step_runs_through_the_files_of_its_walk_and_no_others(tmp_path):
    """Of `ops`, the walk names the operation that the network calls; the kernels and checks behind it count as that."""
    pairs = find_training_pairs(*write_folders(tmp_path, toy_pairs(1)))
    changes = ["steps=2", "batch=1", "crop_sizes=16x16", "device=cpu"]
    config = configure("ivf", "minutes", overrides=changes)
    crops = PairedCrops([pairs], crop_sizes=config.crop_sizes, batch=config.batch)
    with accelerator_for(config) as accelerator:
        steps = iter(TrainingSteps(config, TrainingState(config, accelerator.device), crops, accelerator))
        next(steps)  # decodes the pair and compiles the kernels
        entered = files_entered(lambda: next(steps))
    named = files_of_the_walk("One training step")
    operations = {file for file in named if file.startswith("ops/")}
    assert len(operations) == 1
    assert operations <= entered
    assert {file for file in entered if not file.startswith("ops/")} == named - operations


def test_no_file_names_the_machine_it_was_made_on():
    private = re.compile(r"(?<![\w.~-])(/(?:hom[e]|User[s]|roo[t]|wor[k])/|[A-Z]:\\+User[s]\\)[\w.-]+")
    leaks = [f"{name}: {hit[0]}" for name, text in tracked_texts() for hit in private.finditer(text)]
    assert not leaks, leaks
