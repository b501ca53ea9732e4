"""Every example in a docstring runs and prints what it says."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import mambadfuse
from mambadfuse import metrics

PACKAGE = Path(mambadfuse.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)
SLOW = {"mambadfuse", "mambadfuse.fusion.pair", "mambadfuse.fusion.tiling"}  # fuse a pair of 480 x 360
METRICS = [
    getattr(metrics, name) for name in metrics.__all__ if name.islower() and not name.startswith("require")
]


@pytest.mark.parametrize(
    "module", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in WITH_EXAMPLES]
)
def test_examples_run(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if module.endswith(".no_reference"):
        pytest.importorskip("skimage", reason="its example needs scikit-image")
    if module.startswith("mambadfuse.widgets"):
        pytest.importorskip("ipywidgets", reason="panels need the extra notebooks")
    failed, tried = doctest.testmod(import_module(module))
    assert tried
    assert not failed


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
def test_every_metric_has_an_example_and_says_which_way_is_better(metric):
    assert ">>>" in metric.__doc__
    if metric not in (metrics.grey, metrics.evaluate):
        assert "is better" in metric.__doc__
        assert "= " in metric.__doc__
