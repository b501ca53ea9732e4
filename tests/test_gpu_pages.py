"""We have not run this kit on a GPU: every page that speaks of running it on one says so."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("docs/book/*.md"),
    *ROOT.glob("weights/*.md"),
    *ROOT.glob("benchmarks/**/*.md"),
    *ROOT.glob("notebooks/[0-9]*.ipynb"),
    *(
        ROOT / "mambadfuse" / "ops" / name
        for name in ("__init__.py", "cuda.py", "providers.py", "gpu/__init__.py", "gpu/backend.py")
    ),
    ROOT / "benchmarks" / "gpu" / "__init__.py",
]
GPU = re.compile(
    r"""\bTriton\b|[`"'](triton|cuda)[`"']|\bon (a|an NVIDIA|several) GPUs?\b|budget `?gpu\b|`gpu`|bf16""",
    re.I,
)
NOT_RUN = re.compile(
    r"not (been )?run (\w+ ){0,3}on|not on a GPU|not been run|which we have not run|nothing [^.]* has been run",
    re.I,
)


def text_of(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return " ".join(text.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_that_speaks_of_a_gpu_says_that_we_have_not_run_it_there(page: Path):
    text = text_of(page)
    assert not GPU.search(text) or NOT_RUN.search(text)


def test_the_pages_are_found():
    speaking = {page.name for page in PAGES if GPU.search(text_of(page))}
    assert {"README.md", "installing.md", "NOTES.md", "09_training.ipynb", "backend.py"} <= speaking
