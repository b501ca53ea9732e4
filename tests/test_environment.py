"""The lists of what the kit needs agree: pyproject.toml, constraints.txt, environment.yml and CI."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from mambadfuse import doctor

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]
EXTRAS = PROJECT["optional-dependencies"]
# gpu: only where there is a GPU
EVERYWHERE = ("notebooks", "teaching", "metrics", "medical", "cluster", "tensorboard", "onnx", "book", "dev")
DIRECT = [*PROJECT["dependencies"], *(line for extra in EVERYWHERE for line in EXTRAS[extra])]


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def conda() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def workflow() -> dict:
    return yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("dependency", [*DIRECT, *EXTRAS["gpu"], *EXTRAS["kernels"], *EXTRAS["triton"]])
def test_every_dependency_has_its_reason_beside_it(dependency):
    line = next(line for line in TEXT.splitlines() if f'"{dependency}"' in line)
    assert re.search(r"# \w+", line), f"say in pyproject.toml why {dependency} is needed"


def test_triton_is_not_pinned_since_builds_of_torch_for_a_gpu_want_one_of_their_own():
    assert "triton" not in constraints()


@pytest.mark.parametrize("dependency", [line for line in DIRECT if not line.startswith("triton")])
def test_constraints_pin_every_direct_dependency_within_its_range(dependency):
    requirement = Requirement(dependency)
    version = constraints().get(canonicalize_name(requirement.name))
    assert version, f"constraints.txt lacks {requirement.name}"
    assert requirement.specifier.contains(version), f"{dependency} does not allow {version}"


@pytest.mark.parametrize(
    ("lines", "lacking", "oldest"),
    [
        (PROJECT["dependencies"], "2.6.0", "2.7.0"),  # torch.compiler.is_exporting, scan_op of four arguments
        (EXTRAS["onnx"], "2.7.1", "2.8.0"),  # the translation of a scan for ONNX
    ],
)
def test_no_pytorch_is_allowed_that_lacks_what_the_kit_calls(lines, lacking, oldest):
    allowed = next(Requirement(line) for line in lines if line.startswith("torch>")).specifier
    assert allowed.contains(oldest)
    assert not allowed.contains(lacking)


def test_the_doctor_expects_the_oldest_pytorch_that_is_allowed():
    oldest = ".".join(map(str, doctor.OLDEST_PYTORCH))
    assert f"torch>={oldest}" in PROJECT["dependencies"]


def test_constraints_are_plain_public_versions():
    for name, version in constraints().items():
        assert Version(version).local is None, f"{name}=={version} is not for every machine"


def test_the_oldest_python_can_use_every_pinned_version():
    """A later patch release of Python, such as the one of CI, would install a version that the oldest cannot."""
    oldest = min(Version(bound.version) for bound in SpecifierSet(PROJECT["requires-python"]))
    pins = constraints()
    pinned = [
        package for package in distributions() if pins.get(canonicalize_name(package.name)) == package.version
    ]
    python = {package.name: SpecifierSet(package.metadata["Requires-Python"] or "") for package in pinned}
    assert {name: str(versions) for name, versions in python.items() if not versions.contains(oldest)} == {}


def test_conda_has_the_same_range_of_python():
    spec = next(item for item in conda()["dependencies"] if str(item).startswith("python"))
    assert SpecifierSet(spec.removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])


def test_conda_takes_everything_else_from_pyproject():
    first, *others = [item for item in conda()["dependencies"] if not str(item).startswith("python")]
    assert first == "pip"
    assert others == [{"pip": ["-e .[notebooks]"]}]


def test_the_oldest_python_is_tested_on_every_system():
    oldest = PROJECT["requires-python"].removeprefix(">=")
    jobs = workflow()["jobs"]
    steps = jobs["make"]["steps"]
    assert any(step.get("with", {}).get("python-version") == oldest for step in steps)
    systems = {*jobs["make"]["strategy"]["matrix"]["os"]}
    systems |= {row["os"] for row in jobs["pip"]["strategy"]["matrix"]["include"] if row["python"] == oldest}
    assert {system.split("-")[0] for system in systems} == {"ubuntu", "macos", "windows"}


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "constraints.txt", "environment.yml", "Makefile", ".ci/run"]
)
def test_no_package_index_is_named(name):
    """Where packages come from is the choice of the machine (pip config), not of the kit."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?://|index-url|find-links|file:", text)


@pytest.mark.slow
@pytest.mark.skipif(
    os.name == "nt" or not shutil.which("make"), reason="Windows installs with pip, without make"
)
def test_a_linked_environment_of_another_folder_is_left_alone(tmp_path):
    kit, other = tmp_path / "kit", tmp_path / "other"
    kit.mkdir()
    other.mkdir()
    (other / "precious").touch()
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, kit)
    (kit / ".venv").symlink_to(other)
    offline = {**os.environ, "PIP_NO_INDEX": "1"}
    command = ["make", "env", f"PYTHON={sys.executable}"]
    made = subprocess.run(command, cwd=kit, env=offline, capture_output=True, text=True, timeout=120)
    assert made.returncode, "nothing can be installed without an index"
    assert (other / "precious").exists()
    assert (kit / ".venv/bin/python").exists()
    assert not (kit / ".venv").is_symlink()
