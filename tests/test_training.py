"""Training: it learns, logs, stops where it must, and scales without changing its weights."""

import math
import os
import re
import signal
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from safetensors.torch import load_file
from training_cases import CONFIG, TINY, checkpoint_steps, checkpoints, curve, quiet, same_weights, toy_pairs

from mambadfuse import load, save
from mambadfuse.data.crops import PairedCrops
from mambadfuse.data.training_pairs import ArrayPair
from mambadfuse.losses import FusionLossConfig, LossTerms
from mambadfuse.metrics import EIGHT
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.training import (
    BusyError,
    DivergedError,
    TrainingConfig,
    checkpointing,
    estimate,
    loop,
    run_folder,
    train,
)
from mambadfuse.training.config import MAY_CHANGE
from mambadfuse.training.state import TrainingState
from mambadfuse.training.step import TrainingSteps, accelerator_for
from mambadfuse.training.validation import fused_beside


@dataclass(frozen=True)
class Interrupting(ArrayPair):
    """A pair during whose reading Ctrl-C is pressed, or the process is terminated."""

    number: int = signal.SIGINT

    def pictures(self):
        os.kill(os.getpid(), self.number)
        return super().pictures()


def interrupting(number=signal.SIGINT):
    return [Interrupting(pair.name, pair.a, pair.b, number) for pair in toy_pairs(1)]


@pytest.mark.slow
def test_training_lowers_the_loss_and_the_weights_fuse(tmp_path):
    out = quiet(tmp_path / "w.safetensors", steps=50, crop_sizes=((16, 16),), learning_rate=0.01)
    losses = [record["total"] for record in curve(out)]
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:10])
    assert load(out)(torch.rand(1, 1, 9, 7), torch.rand(1, 1, 9, 7)).shape == (1, 1, 9, 7)


def test_the_log_holds_every_term_of_the_loss_and_the_step(tmp_path):
    records = curve(quiet(tmp_path / "w.safetensors", log_every=4))
    assert [record["step"] for record in records] == [4, 6]  # and the last
    for record in records:
        assert set(record) == {"step", *LossTerms._fields, "gradient_norm", "learning_rate"}
        parts = [record[name] for name in LossTerms._fields if name != "total"]
        assert record["total"] == pytest.approx(sum(parts), rel=1e-5)


def first_record(processes):
    """The record of a step by the first of some processes; every next one has the same crops, and finds more."""
    config = replace(CONFIG, batch=processes, consistency=0.5, steadiness=0.5, crop_sizes=((16, 16),))
    crops = PairedCrops([toy_pairs()], crop_sizes=config.crop_sizes, batch=config.batch, seed=config.seed)

    def gather(x):
        found = [(1 + n) * x[None] if x.ndim == 0 else x for n in range(processes)]
        return torch.cat(found)

    stub = SimpleNamespace(
        num_processes=processes,
        process_index=0,
        device=torch.device("cpu"),
        prepare=lambda *objects: objects,
        accumulate=lambda _: nullcontext(),
        gather=gather,
        backward=torch.Tensor.backward,
        sync_gradients=True,
        clip_grad_norm_=torch.nn.utils.clip_grad_norm_,
    )
    return next(iter(TrainingSteps(config, TrainingState(config, stub.device), crops, stub)))


def test_the_logged_terms_are_means_over_all_processes():
    alone, shared = first_record(1), first_record(3)
    terms = "consistency", "steadiness"
    for name in terms:
        assert alone[name] > 0
        assert shared[name] == pytest.approx(2 * alone[name], rel=1e-5)
    assert shared["total"] == pytest.approx(alone["total"] + sum(alone[name] for name in terms), rel=1e-5)
    assert shared["gradient_norm"] == pytest.approx(alone["gradient_norm"], rel=1e-4)


@pytest.mark.slow
def test_the_saved_weights_are_the_moving_average(tmp_path):
    last = quiet(tmp_path / "last.safetensors", ema_decay=0.0, keep_checkpoints=9, checkpoint_seconds=0)
    averaged = quiet(tmp_path / "averaged.safetensors", ema_decay=0.9)
    states = [torch.tensor(0.0)]
    for step, path in enumerate(checkpoints(last)):
        weight = load_file(path)["model.low_level.conv1.weight"]
        states.append(weight if step == 0 else 0.9 * states[-1] + 0.1 * weight)
    torch.testing.assert_close(load(averaged).low_level.conv1.weight, states[-1])


@pytest.mark.slow
def test_a_run_from_given_weights_begins_where_they_are(tmp_path):
    torch.manual_seed(5)
    save(MambaDFuse(TINY), tmp_path / "given.safetensors")
    given = str(tmp_path / "given.safetensors")
    out = quiet(tmp_path / "w.safetensors", steps=1, init_from=given, learning_rate=1e-12)
    for name, value in load(given).state_dict().items():
        torch.testing.assert_close(load(out).state_dict()[name], value)
    with pytest.raises(
        ValueError, match=r"given\.safetensors holds another network: model\.dim is 4 there, 8 here"
    ):
        quiet(tmp_path / "other.safetensors", init_from=given, model=replace(TINY, dim=8))
    finished = quiet(tmp_path / "c.safetensors", steps=1, init_from=given, contrast=1.2)
    assert load(finished).contrast == 1.2


def test_validation_scores_whole_pictures_and_draws_a_sheet(tmp_path):
    out = quiet(tmp_path / "w.safetensors", validation=toy_pairs(2, (48, 56)), validate_every=4)
    records = curve(out, "validation")
    assert [record["step"] for record in records] == [4, 6]
    assert all(set(record) == {"step", *LossTerms._fields, *EIGHT} for record in records)
    assert all(math.isfinite(value) for record in records for value in record.values())
    for step in (4, 6):
        with Image.open(run_folder(out) / f"validation_{step:08d}.png") as sheet:
            assert sheet.height > 2 * 48
        with Image.open(fused_beside(run_folder(out) / f"validation_{step:08d}.png")) as fused:
            assert (fused.size, fused.mode) == ((56, 48), "L")


@pytest.mark.slow
def test_validation_changes_no_weights(tmp_path):
    plain = quiet(tmp_path / "plain.safetensors")
    judged = quiet(tmp_path / "judged.safetensors", validation=toy_pairs(1, (48, 48)), validate_every=1)
    assert same_weights(plain, judged)


def test_pictures_too_small_to_be_scored_are_named_at_once(tmp_path):
    with pytest.raises(ValueError, match="toy_0: is 34x20, validation scores need at least 41"):
        quiet(tmp_path / "w.safetensors", validation=toy_pairs())
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_the_run_and_names_its_pairs(tmp_path):
    out, pairs = tmp_path / "w.safetensors", toy_pairs(20)
    with pytest.raises(DivergedError, match=r"is (nan|inf) at step \d, whose crops are from toy_") as stop:
        quiet(out, pairs, learning_rate=1e30, checkpoint_seconds=0)
    step = checkpoint_steps(out)[-1]  # the last one before
    crops = PairedCrops([pairs], crop_sizes=CONFIG.crop_sizes, batch=CONFIG.batch, seed=CONFIG.seed)
    assert set(re.findall(r"toy_\d+", str(stop.value))) == set(crops.names(step))
    assert f"at step {step}," in str(stop.value)
    assert not out.exists()


def test_gradients_are_clipped(tmp_path):
    """Adam ignores the scale of all gradients, but not that some are clipped more than others."""
    free = quiet(tmp_path / "free.safetensors", clip_grad_norm=math.inf)
    loose = quiet(tmp_path / "loose.safetensors", clip_grad_norm=1e9)
    tight = quiet(tmp_path / "tight.safetensors", clip_grad_norm=1.0)
    assert same_weights(free, loose)
    assert not same_weights(free, tight)
    assert max(record["gradient_norm"] for record in curve(tight)) > 1  # what is logged is the norm before


@pytest.mark.slow
def test_accumulated_parts_give_the_weights_of_the_whole_batch(tmp_path):
    """With a loss that is a mean over crops; α of the published infrared-visible loss is taken part by part."""
    settings = {"loss": FusionLossConfig.med(), "batch": 4, "ema_decay": 0.0}
    whole = quiet(tmp_path / "whole.safetensors", **settings)
    parts = quiet(tmp_path / "parts.safetensors", accumulate=2, **settings)
    for name, value in load(whole).state_dict().items():
        torch.testing.assert_close(load(parts).state_dict()[name], value, rtol=1e-4, atol=1e-5)
    # Adam forgets a gradient's scale, the log does not.
    for one, other in zip(curve(whole), curve(parts), strict=True):
        assert other == pytest.approx(one, rel=1e-3)


def test_workers_change_no_weights(tmp_path):
    alone, shared = tmp_path / "alone.safetensors", tmp_path / "shared.safetensors"
    assert same_weights(quiet(alone), quiet(shared, workers=1))


def test_half_precision_keeps_weights_and_loss_in_float32(tmp_path):
    whole = quiet(tmp_path / "whole.safetensors")
    half = quiet(tmp_path / "half.safetensors", precision="bf16")
    assert {t.dtype for t in load(half).state_dict().values()} == {torch.float32}
    assert not same_weights(whole, half)
    assert curve(half)[-1]["total"] == pytest.approx(curve(whole)[-1]["total"], rel=0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_saves_a_checkpoint_and_says_how_to_resume(tmp_path, capsys, number):
    out = tmp_path / "new" / "w.safetensors"
    handler = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, [interrupting(number)], out)
    assert (
        "stopped at step 1, checkpoint saved; repeat the call or command to resume" in capsys.readouterr().err
    )
    assert signal.getsignal(number) is handler
    assert checkpoint_steps(out) == [1]
    assert not out.exists()
    train(CONFIG, [toy_pairs(1)], out)
    assert "resuming from step 1" in capsys.readouterr().err
    whole = quiet(tmp_path / "whole.safetensors", toy_pairs(1))
    assert same_weights(out, whole)
    assert curve(out) == curve(whole)


def test_a_second_stop_stops_at_once(tmp_path):
    class Twice(Interrupting):
        def pictures(self):
            super().pictures()
            return super().pictures()

    pairs = [Twice(pair.name, pair.a, pair.b) for pair in toy_pairs(1)]
    with pytest.raises(KeyboardInterrupt):
        quiet(tmp_path / "w.safetensors", pairs)
    assert not checkpoints(tmp_path / "w.safetensors")


def test_a_finished_run_says_so_and_is_left_alone(tmp_path, capsys):
    out = quiet(tmp_path / "w.safetensors")
    before = {path: path.stat().st_mtime_ns for path in [out, *checkpoints(out)]}
    train(CONFIG, [toy_pairs()], out)
    assert "this run is finished: 6 steps" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in [out, *checkpoints(out)]} == before


def test_lost_weights_are_written_again(tmp_path):
    out = quiet(tmp_path / "w.safetensors")
    first = out.rename(tmp_path / "first.safetensors")
    assert same_weights(quiet(out), first)


@pytest.mark.parametrize(("capability", "used"), [((7, 5), "no"), ((8, 0), "bf16")])
def test_half_precision_is_chosen_for_gpus_that_compute_it_and_not_for_those_that_emulate_it(
    monkeypatch, capability, used
):
    asked = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr("mambadfuse.training.step.Accelerator", lambda **words: asked.update(words))
    with accelerator_for(TrainingConfig()):
        pass
    assert (asked["cpu"], asked["mixed_precision"]) == (False, used)


def test_tensorboard_is_asked_for_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("mambadfuse.training.loop.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        quiet(tmp_path / "w.safetensors", tensorboard=True)


def test_tensorboard_gets_the_losses_and_the_scores(tmp_path):
    out = quiet(tmp_path / "w.safetensors", tensorboard=True, validation=toy_pairs(1, (48, 48)))
    (events,) = run_folder(out).rglob("events.out.tfevents.*")
    for name in ("train/total", "train/gradient_norm", "validation/SSIM"):
        assert name.encode() in events.read_bytes()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_is_that_of_the_configuration_whatever_the_environment_says(tmp_path, monkeypatch, accumulate):
    """Accelerate reads its variables too, and lets them take precedence."""
    plain = quiet(tmp_path / "plain.safetensors", accumulate=accumulate)
    for variable, value in {"GRADIENT_ACCUMULATION_STEPS": "3", "MIXED_PRECISION": "bf16"}.items():
        monkeypatch.setenv(f"ACCELERATE_{variable}", value)
    told = quiet(tmp_path / "told.safetensors", accumulate=accumulate)
    assert same_weights(told, plain)
    assert curve(told) == curve(plain)


def test_a_seed_that_no_generator_takes_is_refused():
    with pytest.raises(ValueError, match=r"seed must be below 2\*\*63, found 9223372036854775808"):
        TrainingConfig(seed=2**63)
    torch.manual_seed(TrainingConfig(seed=2**63 - 1).seed)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"w\.pth: expected the name of a \.safetensors file"):
        quiet(tmp_path / "w.pth")


def test_a_folder_in_the_place_of_the_weights_is_refused_before_training(tmp_path):
    (tmp_path / "w.safetensors").mkdir()
    with pytest.raises(ValueError, match=r"w\.safetensors: is a folder, expected the name of a file"):
        quiet(tmp_path / "w.safetensors")
    assert not run_folder(tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize("left", [(), ("steps.jsonl",), ("steps.jsonl", "00000006-0.safetensors.damaged")])
def test_weights_without_a_checkpoint_of_their_run_are_not_replaced(tmp_path, left):
    """Nor are its logs, where the checkpoints were deleted to save space."""
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"of another day")
    for name in left:
        run_folder(weights).mkdir(exist_ok=True)
        (run_folder(weights) / name).write_bytes(b'{"step": 6}\n')
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    with pytest.raises(ValueError, match=r"w\.safetensors: exists, and w\.run beside it"):
        quiet(weights)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before
    assert run_folder(weights).exists() == bool(left)


def test_a_run_that_another_process_has_just_started_is_not_removed(tmp_path, monkeypatch):
    """Of two that start at once, both find no folder yet; the second must leave that of the first alone."""
    out = tmp_path / "w.safetensors"
    monkeypatch.setattr(checkpointing, "_LOCK_TIMEOUT", 0)

    @contextmanager
    def made_by_the_other(folder):
        folder.mkdir()
        with FileLock(folder / ".lock"):
            (folder / "config.yaml").write_text("of the other")
            yield

    monkeypatch.setattr(loop, "made_folder", made_by_the_other)
    with pytest.raises(BusyError, match="is being trained by another process"):
        quiet(out)
    assert (run_folder(out) / "config.yaml").read_text() == "of the other"


def test_an_estimate_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outlook = estimate(replace(CONFIG, steps=5000), [toy_pairs()], measured=1)
    assert outlook.parameters == sum(p.numel() for p in MambaDFuse(TINY).parameters())
    assert (outlook.pairs, outlook.steps, outlook.processes) == (3, 5000, 1)
    assert 0 < outlook.seconds_per_step < 60
    assert outlook.memory is None or 1e7 < outlook.memory < 1e11
    for word in ("5,000", "s per step", "cpu, float32", "memory"):
        assert word in str(outlook)
    assert not list(tmp_path.iterdir())


def test_an_estimate_draws_the_scenes_that_a_run_draws():
    drawn = []

    class Counted(ArrayPair):
        def pictures(self):
            drawn.append(self.name)
            return super().pictures()

    pairs = [Counted(pair.name, pair.a, pair.b) for pair in toy_pairs()]
    estimate(replace(CONFIG, scenes=0.999), [pairs], measured=1)
    assert not drawn


def test_learning_rate_rises_then_falls_along_a_cosine():
    config = TrainingConfig(steps=100, warmup=10)
    rates = [config.rate(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert rates[55] == pytest.approx(0.505)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0.01 < rates[-1] < 0.02


def test_the_published_rate_is_halved_five_times():
    config = TrainingConfig(steps=600_000, schedule="published", warmup=0)
    assert config.rate(0) == config.rate(249_999) == 1
    assert [config.rate(step) for step in (250_000, 400_000, 450_000, 475_000, 500_000)] == [
        0.5**k for k in range(1, 6)
    ]


def test_a_resumed_run_may_change_only_how_it_is_saved_and_shown():
    known = {name.split(".")[0] for name in CONFIG.identity()}
    may_change = {field.name for field in fields(TrainingConfig)} - known
    assert (
        may_change
        == set(MAY_CHANGE)
        == {
            "device",
            "workers",
            "log_every",
            "validate_every",
            "checkpoint_seconds",
            "keep_checkpoints",
            "tensorboard",
        }
    )
