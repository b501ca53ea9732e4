"""The table of the ablation lab: every row asks its own question, misspelt settings are refused."""

import subprocess
import sys

import pytest
import torch

from benchmarks.attention import RowAttention
from mambadfuse.ablation import SHIPPED_TABLE, read_table, row_config, select_rows
from mambadfuse.ablation.table import DEFAULT
from mambadfuse.models.config import MambaConfig
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.training import TrainingConfig

TABLE = read_table()


def written(tmp_path, text):
    path = tmp_path / "table.yaml"
    path.write_text(text)
    return path


def test_the_default_comes_first_and_is_the_preset():
    assert next(iter(TABLE)) == DEFAULT
    assert row_config(TABLE[DEFAULT], budget="laptop", task="ct-mri") == TrainingConfig.preset(
        "ct-mri", "laptop"
    )


@pytest.mark.slow
@pytest.mark.parametrize("budget", ["minutes", "laptop", "gpu"])
@pytest.mark.parametrize("name", TABLE)
def test_every_row_can_be_built(name, budget):
    MambaDFuse(row_config(TABLE[name], budget=budget).model)


def test_no_two_rows_are_the_same_training():
    configs = [row_config(row, budget="laptop") for row in TABLE.values()]
    assert all(config not in configs[:i] for i, config in enumerate(configs))


def test_every_row_asks_a_question():
    assert all(row.question.endswith("?") for row in TABLE.values())


def test_multiples_refer_to_the_budget_and_the_settings():
    half, double = (
        row_config(TABLE[name], budget="minutes", settings=["model.dim=24", "model.state=5"])
        for name in ("state-half", "width-double")
    )
    assert half.model.state == 3  # rounded up
    assert double.model.dim == 48
    assert row_config(TABLE["width-half"], budget="gpu").model.dim == 32  # of 60, up to a multiple of 4
    assert row_config(TABLE["depth-double"], budget="gpu").model.deep_depth == 10


def test_a_row_overrides_the_settings_for_all_rows():
    config = row_config(TABLE["gate-shared"], settings=["model.gate=own", "steps=7"], seed=3)
    assert (config.model.gate, config.steps, config.seed) == ("shared", 7, 3)


def test_rows_are_selected_with_the_default_in_the_order_of_the_table():
    assert [row.name for row in select_rows(TABLE, ["norm-once", "gate-shared"])] == [
        DEFAULT,
        "gate-shared",
        "norm-once",
    ]
    assert [row.name for row in select_rows(TABLE)] == list(TABLE)
    with pytest.raises(ValueError, match=r"unknown row 'gate'.*gate-shared"):
        select_rows(TABLE, ["gate"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('other: {question: "Why?", changes: {}}', "the first of them 'default'"),
        ("[1, 2]", "expected rows by name"),
        ("a: [", "not readable as YAML"),
        ('default: {question: "Why?", changes: {steps: 1}}', "'default' must change nothing"),
        ('default: {question: "Why?"}', "must have a question and changes"),
        ('default: {question: "Why?", changes: 3}', "must be names and values"),
        (
            'default: {question: "Q?", changes: {}}\nx/y: {question: "Q?", changes: {}}',
            "a name may contain letters",
        ),
        (
            'default: {question: "Q?", changes: {}}\nx: {question: "Q?", changes: {seed: 1}}',
            "'x': the seed varies",
        ),
        (
            'default: {question: "Q?", changes: {}}\nx: {question: "Q?", changes: {model.gates: own}}',
            "row 'x': unknown setting 'model.gates': did you mean 'model.gate'",
        ),
        (
            'default: {question: "Q?", changes: {}}\nx: {question: "Q?", changes: {model.gate: open}}',
            "row 'x': model.gate must be one of own, shared, found 'open'",
        ),
    ],
)
def test_invalid_tables_are_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_table(written(tmp_path, text))


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(OSError, match=r"absent\.yaml: no such file$"):
        read_table(tmp_path / "absent.yaml")


def test_a_table_holds_no_aliases(tmp_path):
    (tmp_path / "mine.yaml").write_text("default: &d {question: q, changes: {}}\nmine: *d\n")
    with pytest.raises(ValueError, match=r"mine\.yaml: is not readable as YAML: the alias \*d"):
        read_table(tmp_path / "mine.yaml")


READ_WITHOUT_COMPONENTS = """
import sys
sys.modules["benchmarks"] = None  # whoever has installed the package alone has no such folder
from mambadfuse.ablation import SHIPPED_RESULTS, SHIPPED_TABLE, Store, compare, read_margins, read_table
from mambadfuse.analysis.ablation_figures import cost_plot, flops_of_rows, forest_plot, loss_curves
from mambadfuse.course.ablation_lab import new_row

results = Store(SHIPPED_RESULTS).results()
report = compare(results, read_margins(["2%"]), "Qabf")
assert "row-attention" in read_table(SHIPPED_TABLE).keys() & report.verdicts.keys()
str(report), report.to_html(), report.to_latex(), report.to_markdown()
forest_plot(report), loss_curves(results), cost_plot(report, flops_of_rows(results))
print(new_row('inner: {question: "Narrower?", changes: {model.expand: 1}}'))
"""


def test_the_shipped_report_needs_no_component():
    """It names one of this repository, which neither a wheel nor Colab has."""
    command = [sys.executable, "-c", READ_WITHOUT_COMPONENTS]
    said = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert (said.returncode, said.stdout) == (0, "passed\n"), said.stderr


def test_a_table_is_read_without_its_components_and_its_row_is_configured_with_them(tmp_path):
    text = 'default: {question: "?", changes: {}}\nmine: {question: "?", changes: {model.mixer: "nowhere:Mixer"}}\n'
    table = read_table(written(tmp_path, text))
    with pytest.raises(ValueError, match="row 'mine': nowhere:Mixer: there is no module nowhere"):
        row_config(table["mine"])


ROADSCENE = read_table(SHIPPED_TABLE)


@pytest.mark.parametrize("name", ROADSCENE)
def test_the_questions_on_roadscene_are_those_of_the_kit_but_for_attention(name):
    """Each trains, and none changes what another does."""
    row = ROADSCENE[name]
    assert row.question.endswith("?")
    if name not in ("row-attention", "convolution"):
        assert row == TABLE[name]
    settings = ["loss=local", "model.dim=8", "steps=2"]
    configs = [row_config(one, settings=settings) for one in ROADSCENE.values()]
    assert configs.count(row_config(row, settings=settings)) == 1


def test_attention_along_rows_mixes_each_row_by_itself():
    mixer = RowAttention(MambaConfig(dim=4)).eval()
    tokens = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    other = tokens.clone()
    other[:, 3:] = 0  # the second of two rows
    assert torch.equal(mixer(tokens, height=2)[:, :3], mixer(other, height=2)[:, :3])
    assert not torch.equal(mixer(tokens, height=1)[:, :3], mixer(other, height=1)[:, :3])
