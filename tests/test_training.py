"""Training: batches that pair what belongs together, and runs that stop and resume."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mambadfuse import MambaDFuseConfig, load
from mambadfuse.data.crops import GreyPair, draw_batch, load_grey_pairs, orient
from mambadfuse.training import Trainer, TrainingConfig

GOLDEN = np.load(Path(__file__).parent / "golden" / "pipeline.npz")
TINY = MambaDFuseConfig(
    dim=8, state=4, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
)


def toy_pairs(count=3, height=20, width=30):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 120, (count, height, width), dtype=np.uint8)
    return [GreyPair(str(i), p, p + np.uint8(100)) for i, p in enumerate(pictures)]


def toy_config(**changes):
    return TrainingConfig(model=TINY, steps=6, batch=2, windows=((8, 8), (4, 16)), warmup=2, **changes)


def test_orientations_are_the_eight_symmetries():
    x = np.arange(9).reshape(3, 3)
    seen = {orient(x, mode).tobytes() for mode in range(8)}
    assert len(seen) == 8
    assert np.array_equal(orient(x, 0), x)
    assert np.array_equal(orient(x, 1), x.T)


@pytest.mark.parametrize("mode", range(8))
def test_orientations_are_numbered_as_published(mode):
    assert np.array_equal(orient(GOLDEN["augment_input"], mode), GOLDEN[f"augment_mode{mode}"])


def test_both_sides_of_a_batch_are_the_same_window():
    for step in range(20):
        a, b = draw_batch([toy_pairs()], [1], 4, ((8, 8), (4, 16)), seed=1, step=step)
        assert a.shape == b.shape
        assert tuple(a.shape[2:]) in {(8, 8), (4, 16)}
        torch.testing.assert_close(b - a, torch.full_like(a, 100 / 255))


def test_a_batch_depends_on_seed_and_step_alone():
    def draw(seed, step):
        return draw_batch([toy_pairs()], [1], 4, ((8, 8),), seed, step)[0]

    assert torch.equal(draw(1, 5), draw(1, 5))
    assert not torch.equal(draw(1, 5), draw(1, 6))
    assert not torch.equal(draw(1, 5), draw(2, 5))


def test_windows_larger_than_every_picture_are_named():
    with pytest.raises(ValueError, match="64 x 64"):
        draw_batch([toy_pairs()], [1], 1, ((64, 64),), 0, 0)


def test_small_pictures_are_passed_over():
    pairs = [*toy_pairs(1, 4, 4), *toy_pairs(1)]
    a, _ = draw_batch([pairs], [1], 3, ((8, 8),), 0, 0)
    assert a.shape == (3, 1, 8, 8)


def test_pairs_are_read_as_grey(tmp_path):
    for folder, mode in (("a", "L"), ("b", "RGB")):
        (tmp_path / folder).mkdir()
        Image.new(mode, (5, 4), 50 if mode == "L" else (255, 0, 0)).save(tmp_path / folder / "x.png")
    (pair,) = load_grey_pairs(tmp_path / "a", tmp_path / "b")
    assert pair.a.shape == pair.b.shape == (4, 5)
    assert pair.a[0, 0] == 50
    assert pair.b[0, 0] == 76  # 0.299 * 255
    Image.new("L", (6, 4)).save(tmp_path / "a" / "x.png")
    with pytest.raises(ValueError, match="sizes differ"):
        load_grey_pairs(tmp_path / "a", tmp_path / "b")


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path):
    torch.set_num_threads(1)
    whole = Trainer(toy_config(), [toy_pairs()], [1], tmp_path / "whole.pt")
    whole.run(tmp_path / "whole.safetensors")
    stopped = Trainer(toy_config(), [toy_pairs()], [1], tmp_path / "run.pt")
    for _ in range(3):
        stopped.train_step()
    stopped.save()
    resumed = Trainer(toy_config(), [toy_pairs()], [1], tmp_path / "run.pt")
    assert resumed.step == 3
    resumed.run(tmp_path / "resumed.safetensors")
    want, got = load(tmp_path / "whole.safetensors"), load(tmp_path / "resumed.safetensors")
    assert all(torch.equal(t, got.state_dict()[n]) for n, t in want.state_dict().items())


def test_a_run_of_another_configuration_is_not_continued(tmp_path):
    Trainer(toy_config(), [toy_pairs()], [1], tmp_path / "run.pt").save()
    with pytest.raises(ValueError, match="seed was 0, is 1"):
        Trainer(toy_config(seed=1), [toy_pairs()], [1], tmp_path / "run.pt")


def test_a_run_on_other_pairs_is_not_continued(tmp_path):
    Trainer(toy_config(), [toy_pairs()], [1], tmp_path / "run.pt").save()
    swapped = [GreyPair(p.name, p.b, p.a) for p in toy_pairs()]
    with pytest.raises(ValueError, match="pairs was"):
        Trainer(toy_config(), [swapped], [1], tmp_path / "run.pt")
    with pytest.raises(ValueError, match="shares was"):
        Trainer(toy_config(), [toy_pairs()], [2], tmp_path / "run.pt")


def test_an_interrupted_run_goes_on_from_where_it_was_kept(tmp_path, monkeypatch):
    trainer = Trainer(toy_config(), [toy_pairs()], [1], tmp_path / "new" / "run.pt")
    step = trainer.train_step

    def interrupted():
        if trainer.step == 2:
            raise KeyboardInterrupt
        return step()

    monkeypatch.setattr(trainer, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(tmp_path / "out.safetensors", save_every=0)
    assert Trainer(toy_config(), [toy_pairs()], [1], tmp_path / "new" / "run.pt").step == 2
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch": 0}, {"learning_rate": 0.0}])
def test_impossible_settings_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainingConfig(**wrong)


@pytest.mark.parametrize("shares", [[0.0], [-1.0], [1.0, 1.0]])
def test_impossible_shares_are_refused(tmp_path, shares):
    with pytest.raises(ValueError, match="positive share"):
        Trainer(toy_config(), [toy_pairs()], shares, tmp_path / "run.pt")


def test_training_lowers_the_loss_and_logs_it(tmp_path):
    config = TrainingConfig(model=TINY, steps=50, batch=2, windows=((8, 8),), warmup=5)
    trainer = Trainer(config, [toy_pairs()], [1], tmp_path / "run.pt")
    first = trainer.train_step()["total"]
    trainer.run(tmp_path / "out.safetensors")
    (line,) = (tmp_path / "run.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 50
    assert json.loads(line)["total"] < first


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    trainer = Trainer(toy_config(), [toy_pairs()], [1], tmp_path / "run.pt")
    with torch.no_grad():
        trainer.model.token_norm.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="step 0"):
        trainer.train_step()


def test_learning_rate_rises_then_falls():
    config = TrainingConfig(steps=100, warmup=10)
    rates = [config.rate(step) for step in range(100)]
    assert max(rates) == pytest.approx(1)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[0] < 0.2
    assert rates[-1] < 0.02
