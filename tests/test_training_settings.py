"""Settings: presets, YAML files and overrides, typed; unknown names are refused."""

import doctest
import math
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambadfuse import MambaDFuse, MambaDFuseConfig, save
from mambadfuse.ablation import read_table, row_config
from mambadfuse.losses import FusionLossConfig
from mambadfuse.training import BUDGETS, TASKS, TrainingConfig, as_yaml, configure, loop, settings
from mambadfuse.training import config as config_module
from mambadfuse.training.yaml_text import read_yaml


def test_the_gpu_budget_is_the_published_recipe():
    ivf, mri = (TrainingConfig.preset(task, "gpu") for task in ("ivf", "spect-mri"))
    for config in (ivf, mri):
        assert config.model == MambaDFuseConfig.published()
        assert (config.batch, config.steps, config.ema_decay) == (12, 10_000, 0.999)
        assert config.clip_grad_norm == math.inf
        assert {config.rate(step) for step in (0, 5_000, 9_999)} == {1.0}
    assert (ivf.crop_sizes, ivf.learning_rate, ivf.loss) == (((128, 128),), 2e-5, FusionLossConfig.vif())
    assert (mri.crop_sizes, mri.learning_rate, mri.loss) == (((64, 64),), 2e-4, FusionLossConfig.med())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("budget", BUDGETS)
def test_every_preset_is_read_back_from_its_file(tmp_path, task, budget):
    config = TrainingConfig.preset(task, budget)
    (tmp_path / "run.yaml").write_text(as_yaml(config))
    assert configure(file=tmp_path / "run.yaml") == config


def test_overrides_change_a_file_which_changes_a_preset(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "steps: 50\nbatch: 6\nmodel: {preset: lite, dim: 8}\nloss: med\ncrop_sizes: [32x32, 16x64]\n"
    )
    overrides = [
        "batch=8",
        "loss.gradient=40",
        "model.state=4",
        "learning_rate=5e-4",
        "clip_grad_norm=inf",
        "precision=bf16",
    ]
    config = configure("ivf", "minutes", tmp_path / "mine.yaml", overrides)
    assert (config.steps, config.batch, config.learning_rate) == (50, 8, 5e-4)
    assert config.model == replace(MambaDFuseConfig.lite(), dim=8, state=4)
    assert config.loss == replace(FusionLossConfig.med(), gradient=40.0)
    assert config.crop_sizes == ((32, 32), (16, 64))
    assert (config.clip_grad_norm, config.precision) == (math.inf, "bf16")
    assert config.ema_decay == TrainingConfig.preset("ivf", "minutes").ema_decay  # the rest is the preset's


@pytest.mark.parametrize(
    ("overrides", "model"),
    [
        (["model=published"], MambaDFuseConfig.published()),
        (["model=default"], MambaDFuseConfig()),
        (["model=lite", "model.dim=12"], replace(MambaDFuseConfig.lite(), dim=12)),
        (["model.dim=12"], replace(TrainingConfig.preset().model, dim=12)),
    ],
)
def test_a_network_goes_by_name_or_piece_by_piece(overrides, model):
    assert configure(overrides=overrides).model == model


@pytest.mark.parametrize(
    "overrides",
    [
        ["batch=6", "accumulate=3"],
        ["model=published", "model.dim=40"],
        ["loss=med", "loss.gradient=40", "loss.glare=0.5"],
    ],
)
def test_the_order_of_overrides_is_free(overrides):
    assert configure(overrides=overrides) == configure(overrides=overrides[::-1])


def test_a_loss_named_by_an_override_replaces_the_one_of_a_file_and_a_piece_changes_it(tmp_path):
    (tmp_path / "run.yaml").write_text(as_yaml(TrainingConfig()))
    named = configure(file=tmp_path / "run.yaml", overrides=["loss.gradient=40", "loss=med"])
    assert named.loss == replace(FusionLossConfig.med(), gradient=40.0)
    changed = configure(file=tmp_path / "run.yaml", overrides=["loss.gradient=40"])
    assert changed.loss == replace(FusionLossConfig.vif(), gradient=40.0)


@pytest.mark.parametrize("text", ["32x32,16x64", "[32x32, 16x64]", "[[32, 32], [16, 64]]"])
def test_sizes_of_crops_may_be_written_in_three_ways(text):
    assert configure(overrides=[f"crop_sizes={text}"]).crop_sizes == ((32, 32), (16, 64))


@pytest.mark.parametrize(
    ("override", "closest"),
    [
        ("learning_rat=1", "learning_rate"),
        ("model.dims=8", "model.dim"),
        ("loss.gradent=1", "loss.gradient"),
        ("optimiser.lr=1", ""),
        ("dim=40", "model.dim'?"),
        ("gradient=40", "loss.gradient'?"),
        ("train.steps=40", ""),
    ],
)
def test_unknown_names_are_refused_with_the_closest_known_one(override, closest):
    name = override.split("=")[0]
    with pytest.raises(ValueError, match=rf"unknown setting '{name.split('.')[0]}.*did you mean '{closest}"):
        configure(overrides=[override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps=many", "steps: expected a whole number, found 'many'"),
        ("steps=1.5", "steps: expected a whole number, found 1.5"),
        ("steps=true", "steps: expected a whole number, found True"),
        ("learning_rate=fast", "learning_rate: expected a number, found 'fast'"),
        ("tensorboard=1", "tensorboard: expected true or false, found 1"),
        ("schedule=linear", "schedule must be one of cosine, published, found 'linear'"),
        ("crop_sizes=64", "crop_sizes: expected sizes such as 64x64,32x128"),
        (
            "model=huge",
            "model must be one of default, published, figure, lite, fast, tiny, or settings of it, found 'huge'",
        ),
        ("model.dim=x", "model.dim: expected a whole number"),
        ("steps=.inf", "steps: expected a whole number, found inf"),
        ("crop_sizes=[1", r"crop_sizes=\[1: the value is not readable as YAML"),
        ("crop_sizes=[[8, 8, 8]]", "crop_sizes: expected sizes such as 64x64,32x128"),
        ("model=[1]", r"model must be one of .*, or settings of it, found \[1\]"),
        ("model={1: 2}", r"unknown setting 'model.1'"),
        ("steps", "expected name=value, found 'steps'"),
        ("init_from=nothing.safetensors", "nothing.safetensors: no such file"),
    ],
)
def test_values_of_the_wrong_type_are_named(override, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        configure(overrides=[override])


@pytest.mark.parametrize("content", ["- a\n- b\n", "steps", "steps: [1\n", ""])
def test_a_file_that_holds_no_settings_is_named(tmp_path, content):
    (tmp_path / "odd.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"odd\.yaml: "):
        configure(file=tmp_path / "odd.yaml")


def test_given_weights_bring_their_network_and_contrast_along(tmp_path):
    model = MambaDFuse(replace(MambaDFuseConfig.lite(), dim=8))
    model.contrast = 1.15
    save(model, tmp_path / "given.safetensors")
    config = configure(budget="gpu", overrides=[f"init_from={tmp_path / 'given.safetensors'}"])
    assert (config.model, config.contrast) == (model.config, 1.15)
    assert config.batch == 12


@given(
    st.integers(1, 10**6), st.floats(1e-8, 1e3), st.integers(0, 2**31), st.sampled_from(["bf16", "float32"])
)
def test_what_is_written_is_read_back(steps, rate, seed, precision):
    overrides = [f"steps={steps}", f"learning_rate={rate}", f"seed={seed}", f"precision={precision}"]
    config = configure(overrides=overrides)
    assert (config.steps, config.learning_rate, config.seed, config.precision) == (
        steps,
        rate,
        seed,
        precision,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("batch", 0),
        ("accumulate", 3),
        ("learning_rate", 0.0),
        ("clip_grad_norm", -1.0),
        ("ema_decay", 1.0),
        ("warmup", -1),
        ("seed", -1),
        ("crop_sizes", ()),
        ("crop_sizes", ((0, 8),)),
        ("keep_checkpoints", 0),
        ("log_every", 0),
        ("learning_rate", math.nan),
        ("learning_rate", 1e300),
        ("ema_decay", math.nan),
        ("learning_rate", math.inf),
        ("contrast", 0.0),
        ("contrast", math.inf),
        ("device", "cuda"),
        ("precision", "fp16"),
        ("schedule", "linear"),
    ],
)
def test_impossible_settings_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        TrainingConfig(**{name: value})


@pytest.mark.parametrize("arguments", [("xray", "gpu"), ("ivf", "week")])
def test_unknown_presets_are_named(arguments):
    with pytest.raises(ValueError, match=f"unknown (task|budget) '({'|'.join(arguments)})'"):
        TrainingConfig.preset(*arguments)


def test_every_weight_of_the_loss_is_a_setting():
    for field in fields(FusionLossConfig):
        value = getattr(FusionLossConfig.med(), field.name)
        assert asdict(configure(overrides=[f"loss.{field.name}={value}"]).loss)[field.name] == value


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_run_too_short_for_its_warm_up_or_its_ema_is_warned_about(budget):
    config = TrainingConfig.preset("ivf", budget)
    assert not config.warnings()
    assert [warning.split()[0] for warning in replace(config, warmup=0, steps=20).warnings()] == ["ema_decay"]
    assert [warning.split()[0] for warning in replace(config, warmup=config.steps).warnings()] == ["warmup"]


@pytest.mark.parametrize("module", [config_module, loop, settings])
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB.encode(), r"the alias \*a stands for a value elsewhere"),
        (b"steps: 5\nbatch: *steps\n", r"the alias \*steps"),
        (b"steps: 5\nbatch: 8\nsteps: 6\n", "'steps' is set on line 1 and on line 3"),
        (b"model:\n  dim: 8\n  dim: 16\n", "'dim' is set on line 2 and on line 3"),
        (b"steps: " + b"[" * 5000, "not readable as YAML: maximum recursion"),
        (b"steps: !!int x\n", "not readable as YAML"),
        (b"steps: !!timestamp x\n", "not readable as YAML"),
        (b"steps: !!python/object:os.system x\n", "not readable as YAML"),
        (b"steps: " + b"9" * 6000, "not readable as YAML|whole number"),
        (b"steps: 5 #" + b"x" * 60_000, "at most 50000 characters"),
        (b"\xff\xfe\x00", "not readable as YAML"),
        (b"", "expected names and values"),
    ],
)
def test_hostile_files_of_settings_are_refused(tmp_path, content, said):
    (tmp_path / "odd.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=rf"odd\.yaml: .*({said})"):
        configure(file=tmp_path / "odd.yaml")


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("steps: 010", "steps", 10),
        ("steps: 1_000", "steps", 1000),
        ("steps: 1e3", "steps", 1000),
        ("learning_rate: 5e-4", "learning_rate", 5e-4),
        ("clip_grad_norm: .inf", "clip_grad_norm", math.inf),
        ("tensorboard: on", "tensorboard", True),
        ("tensorboard: No", "tensorboard", False),
        ("init_from: no", "init_from", "no"),
        ("init_from: 2026-01-02", "init_from", "2026-01-02"),
        ("init_from: 1:30", "init_from", "1:30"),
    ],
)
def test_values_are_read_as_they_read(tmp_path, setting, name, value):
    """And not as YAML 1.1 has them: octal, to the base of 60, as dates."""
    file = tmp_path / "mine.yaml"
    file.write_text(setting)
    if name == "init_from":  # there are no such weights
        assert read_yaml(file) == {name: value}
    else:
        for config in (configure(file=file), configure(overrides=[setting.replace(": ", "=")])):
            assert getattr(config, name) == value


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("steps: 1:30:00", "steps: expected a whole number, found '1:30:00'"),
        ("steps: 2026-01-02", "steps: expected a whole number, found '2026-01-02'"),
        ("seed: 0x10", "seed: expected a whole number, found '0x10'"),
        ("crop_sizes: 0x10", "crop_sizes must be .height, width., each at least 1"),
        ("model: {dim: 8, dim: 16}", "'dim' is set on line 1 and on line 1"),
        ("warmup: off", "warmup: expected a whole number, found 'off'"),
        ("steps: !!int 1:30:00", "is not readable as YAML: .*1:30:00"),
        ("no: 1", "unknown setting 'no'"),
        ("schedule: off", "schedule must be one of cosine, published, found 'off'"),
    ],
)
def test_values_that_say_something_else_are_named_with_their_setting(tmp_path, setting, said):
    file = tmp_path / "mine.yaml"
    file.write_text(setting)
    with pytest.raises(ValueError, match=said):
        configure(file=file)


def test_rows_of_a_table_may_be_called_anything_that_reads_as_a_name(tmp_path):
    file = tmp_path / "table.yaml"
    file.write_text(
        "default: {question: '?', changes: {}}\n"
        "off: {question: '?', changes: {steps: 010}}\n"
        "010: {question: '?', changes: {steps: 7}}\n"
    )
    table = read_table(file)
    assert list(table) == ["default", "off", "010"]
    assert row_config(table["off"]).steps == 10


def test_an_override_is_no_place_for_aliases():
    with pytest.raises(ValueError, match=r"crop_sizes=.*: the value is not readable as YAML: the alias \*a"):
        configure(overrides=["crop_sizes=[&a 64x64, *a]"])


def test_a_missing_file_of_settings_is_named_without_the_words_of_the_system(tmp_path):
    with pytest.raises(OSError, match=r"absent\.yaml: no such file$"):
        configure(file=tmp_path / "absent.yaml")
    with pytest.raises(OSError, match=r": is not a file$"):
        configure(file=tmp_path)


@pytest.mark.parametrize("size", ["1x64", "64x1"])
def test_crops_that_cannot_be_moved_by_a_pixel_are_refused(size):
    with pytest.raises(ValueError, match="steadiness moves a crop by a pixel: crop_sizes must be at least 2"):
        configure(overrides=["steadiness=1", f"crop_sizes=64x64,{size}"])
    assert configure(overrides=[f"crop_sizes={size}"]).steadiness == 0


def test_an_unknown_name_of_any_length_is_named_in_short():
    with pytest.raises(ValueError, match=r"unknown setting 'x{100}': did you mean"):
        configure(overrides=["x" * 50_000 + "=1"])
