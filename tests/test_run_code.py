"""A run is also its code: other code is another run, and it is said what has changed."""

from dataclasses import dataclass, replace

import pytest
from component_cases import edit, forget, install
from training_cases import CONFIG, checkpoint_steps, quiet

from mambadfuse.components import component
from mambadfuse.losses import FusionLossConfig, fusion_loss
from mambadfuse.source_code import code_digest, kit_digest, own_files
from mambadfuse.training import code
from mambadfuse.training.code import RunCode, code_of

OWN = replace(CONFIG, model=replace(CONFIG.model, mixer="attention:RowAttention"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    yield install(tmp_path, monkeypatch)
    forget(monkeypatch)


def test_comments_docstrings_and_layout_are_not_code(tmp_path):
    file, digests = tmp_path / "a.py", []
    for text in (
        "def f(x):\n    return x + 1\n",
        '"""A module."""\n\n\ndef f(x):  # adds\n    """One more."""\n    return (x +\n            1)\n',
        "def f(x):\n    return x + 2\n",
    ):
        file.write_text(text)
        digests.append(code_digest(file))
    plain, documented, changed = digests
    assert plain == documented != changed


def test_a_component_stands_on_what_it_imports_of_ones_own(place):
    (place / "mine.py").write_text("import torch\nfrom layers import norm\n\n\ndef f(): ...\n")
    (place / "layers").mkdir()
    (place / "layers" / "__init__.py").write_text("")
    (place / "layers" / "norm.py").write_text("def late():\n    from . import parts\n")
    (place / "layers" / "parts.py").write_text("")
    (place / "attention.py").write_text("import mine, json, mambadfuse.losses\nfrom mine import f\n")
    component("attention:f")
    assert set(own_files(["attention"])) == {"attention", "mine", "layers", "layers.norm", "layers.parts"}


def test_the_kit_is_what_trains_and_scores():
    everything = kit_digest(["mambadfuse.training.step", "mambadfuse.metrics"])
    assert everything != kit_digest(["mambadfuse.metrics"])
    assert code_of(CONFIG).kit == code_of(replace(CONFIG, seed=7)).kit
    assert code_of(CONFIG).own == {}


def test_the_code_of_a_component_counts(place):
    first = code_of(OWN)
    assert first.classes == ("attention:RowAttention",)
    assert set(first.own) == {"attention"}
    edit(place / "attention.py", "HEADS = 2", "HEADS = 4")
    assert code_of(OWN) == first  # what runs is what was imported
    component("attention:RowAttention")
    second = code_of(OWN)
    assert second != first
    assert second.changes_from(first) == "attention"
    edit(place / "attention.py", "HEADS = 4", "HEADS = 2  # as before")
    component("attention:RowAttention")
    assert code_of(OWN) == first
    assert code_of(CONFIG) == replace(first, own={}, classes=())


def test_the_kits_own_classes_may_be_named_too():
    named = replace(CONFIG, model=replace(CONFIG.model, mixer="mambadfuse.models.mamba:GatedConv"))
    assert code_of(named).own == {}


def test_a_subclassed_configuration_or_loss_is_other_code(monkeypatch):
    @dataclass(frozen=True)
    class Other(FusionLossConfig):
        pass

    plain = code_of(CONFIG)
    other = code_of(replace(CONFIG, loss=Other()))
    assert set(other.own) >= {__name__}
    assert other.changes_from(plain).endswith(f"class {__name__}:{Other.__qualname__}")

    class Doubled(fusion_loss.FusionLoss):
        pass

    monkeypatch.setattr(fusion_loss, "FusionLoss", Doubled)
    assert f"class {__name__}:{Doubled.__qualname__}" in code_of(CONFIG).changes_from(plain)


def test_a_class_that_was_typed_into_a_notebook_is_refused(monkeypatch):
    @dataclass(frozen=True)
    class Typed(FusionLossConfig):
        pass

    monkeypatch.setattr(Typed, "__module__", "a_module_without_a_file")
    monkeypatch.setattr(code, "is_own", lambda name: name == "a_module_without_a_file")
    with pytest.raises(ValueError, match="a_module_without_a_file: is a module without a file"):
        code_of(replace(CONFIG, loss=Typed()))


def test_code_is_stored_and_read_again(place):
    found = code_of(OWN)
    assert RunCode.from_dict(found.to_dict()) == found
    assert found.changes_from(RunCode.from_dict({})).startswith("the kit, attention")


def test_a_run_does_not_go_on_with_other_code_unless_told_to(place, capsys):
    out = place / "w.safetensors"
    quiet(out, model=OWN.model)
    edit(place / "attention.py", "HEADS = 2", "HEADS = 4")
    with pytest.raises(
        ValueError, match=r"w.run: the code has changed since step 6: attention\. .*--other-code"
    ):
        quiet(out, model=OWN.model)
    edit(place / "attention.py", "HEADS = 4", "HEADS = 2")
    quiet(out, model=OWN.model)
    assert checkpoint_steps(out)[-1] == 6


def test_a_run_that_is_told_to_goes_on_with_other_code(place, monkeypatch):
    out = place / "w.safetensors"
    quiet(out, checkpoint_seconds=0)
    monkeypatch.setattr(code, "kit_code", lambda: "another kit")
    with pytest.raises(ValueError, match="the code has changed since step 6: the kit"):
        quiet(out)
    assert quiet(out, other_code=True) == out
