"""The fast network: any size, known start, files, settings, operations, memory; and the two terms that compare."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from training_cases import CONFIG, checkpoints, curve, quiet, run_folder, same_weights

import mambadfuse as mdf
from mambadfuse.fusion.memory import pass_memory, within_memory
from mambadfuse.fusion.tiling import TiledModel
from mambadfuse.losses import FusionLossConfig
from mambadfuse.models.checkpoints import CheckpointError, build
from mambadfuse.models.config import FastFusionConfig, network_config
from mambadfuse.models.fast import FastFusion
from mambadfuse.models.flops import total_flops
from mambadfuse.training.settings import as_yaml, configure
from mambadfuse.training.step import TURNS

SMALL = FastFusionConfig(dim=4, depth=2)
NO_LOSS = FusionLossConfig(intensity=0, gradient=0, structure=0)


def network(config=SMALL, seed=0):
    """With random weights everywhere, the head included."""
    torch.manual_seed(seed)
    made = FastFusion(config).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 13), (16, 32)])
@pytest.mark.parametrize("patch", [1, 2, 4])
def test_images_of_any_size_are_fused(size, patch):
    a, b = torch.rand(2, 3, 1, *size)
    with torch.no_grad():
        fused = network(replace(SMALL, patch=patch))(a, b)
    assert fused.shape == a.shape
    assert fused.isfinite().all()


def test_an_untrained_network_takes_an_eighth_of_the_minimum():
    a, b = torch.rand(2, 1, 1, 12, 10)
    with torch.no_grad():
        fused = FastFusion(SMALL)(a, b)
    brighter, darker = torch.maximum(a, b), torch.minimum(a, b)
    torch.testing.assert_close(fused, brighter + (darker - brighter) / (1 + np.e**2))


@pytest.mark.parametrize(("patch", "shift"), [(1, 0), (2, 1), (4, 2)])
def test_frames_are_fused_by_tokens_laid_in_two_ways(patch, shift):
    a, b = torch.rand(2, 2, 1, 13, 10)
    net = network(replace(SMALL, patch=patch))
    moved = (torch.nn.functional.pad(x, (shift, 0, shift, 0), mode="replicate") for x in (a, b))
    with torch.no_grad():
        once = net(a, b)
        wanted = (once + net(*moved)[..., shift:, shift:]) / 2
        torch.testing.assert_close(net.for_video()(a, b), wanted)
        torch.testing.assert_close(net(a, b), once)  # as before


def test_pixels_far_apart_do_not_meet():
    """Receptive field: 3 + 4 (1 + 2) tokens of two pixels around, at most."""
    a, b = torch.rand(2, 1, 1, 96, 8)
    changed = a.clone()
    changed[:, :, 0] = 1 - changed[:, :, 0]
    net = network()
    with torch.no_grad():
        difference = (net(a, b) - net(changed, b)).abs().amax(dim=(0, 1, 3))
    assert difference[0] > 0
    assert not difference[2 * (1 + 1 + 2 * (1 + 2) + 1) :].any()


def test_equal_images_in_a_batch_and_alone():
    a, b = torch.rand(2, 3, 1, 10, 14)
    net = network()
    with torch.no_grad():
        torch.testing.assert_close(net(a, b)[1:2], net(a[1:2], b[1:2]))


@pytest.mark.parametrize("shapes", [((1, 1, 4, 4), (1, 1, 4, 5)), ((1, 2, 4, 4),) * 2, ((4, 4),) * 2])
def test_inputs_of_another_shape_are_refused(shapes):
    with pytest.raises(ValueError, match=r"must both have shape \(B, 1, H, W\), found"):
        network()(*map(torch.zeros, shapes))


@pytest.mark.parametrize("name", ["dim", "depth", "patch"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "8"])
def test_sizes_no_network_can_have_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, found"):
        FastFusionConfig(**{name: value})


def test_weights_survive_their_file(tmp_path):
    net = network()
    net.contrast = 1.3
    mdf.save(net, tmp_path / "mine.safetensors")
    net.save_pretrained(tmp_path / "folder")
    a, b = np.random.default_rng(0).random((2, 11, 9))
    for source in (tmp_path / "mine.safetensors", tmp_path / "folder"):
        loaded = mdf.load(source)
        assert (type(loaded), loaded.config, loaded.contrast) == (FastFusion, SMALL, 1.3)
        assert np.array_equal(mdf.fuse(a, b, loaded), mdf.fuse(a, b, net))
    assert FastFusion.from_pretrained(tmp_path / "folder").config == SMALL
    card = (tmp_path / "folder" / "README.md").read_text()
    assert "from mambadfuse.models.fast import FastFusion\n" in card
    assert 'model = FastFusion.from_pretrained("this folder or repository")' in card


def test_the_other_network_is_named_where_one_is_expected(tmp_path):
    mdf.save(network(), tmp_path / "mine.safetensors")
    with pytest.raises(CheckpointError, match="holds a FastFusion, expected a MambaDFuse"):
        mdf.MambaDFuse.from_pretrained(tmp_path / "mine.safetensors")
    with pytest.raises(CheckpointError, match="holds a MambaDFuse, expected a FastFusion"):
        FastFusion.from_pretrained("ivf")


def test_an_unknown_network_in_a_file_is_named():
    with pytest.raises(ValueError, match="network must be one of MambaDFuse, FastFusion, found 'UNet'"):
        network_config({"network": "UNet", "dim": 8})


@pytest.mark.parametrize("config", [SMALL, FastFusionConfig.fast(), FastFusionConfig.tiny()])
def test_settings_are_read_back(tmp_path, config):
    assert network_config(config.to_dict()) == config
    (tmp_path / "run.yaml").write_text(as_yaml(replace(CONFIG, model=config)))
    assert configure(file=tmp_path / "run.yaml") == replace(CONFIG, model=config)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model=fast"], FastFusionConfig.fast()),
        (["model=tiny", "model.patch=4"], replace(FastFusionConfig.tiny(), patch=4)),
        (["model.dim=8", "model=fast"], FastFusionConfig(dim=8)),
    ],
)
def test_a_fast_network_goes_by_name(overrides, expected):
    assert configure(overrides=overrides).model == expected


def test_its_operations_are_those_that_pytorch_counts():
    a, b = torch.rand(2, 1, 1, 30, 41)
    with FlopCounterMode(display=False) as counter:
        network()(a, b)
    assert total_flops(SMALL, 30, 41) == counter.get_total_flops()


def test_it_is_fused_in_tiles_where_memory_is_short(monkeypatch):
    monkeypatch.setattr("mambadfuse.fusion.memory.free_memory", lambda: pass_memory(SMALL, 300, 300) - 1)
    assert isinstance(within_memory(network(), 300, 300), TiledModel)
    monkeypatch.setattr("mambadfuse.fusion.memory.free_memory", lambda: pass_memory(SMALL, 300, 300))
    assert isinstance(within_memory(network(), 300, 300), FastFusion)


def test_it_is_trained_and_resumed_as_the_other_network_is(tmp_path):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    quiet(whole, model=SMALL, consistency=5.0, steadiness=0.5)
    quiet(parts, model=SMALL, consistency=5.0, steadiness=0.5, keep_checkpoints=9, checkpoint_seconds=0)
    parts.unlink()
    for late in checkpoints(parts)[2:]:
        late.unlink()
    quiet(parts, model=SMALL, consistency=5.0, steadiness=0.5, keep_checkpoints=9, checkpoint_seconds=0)
    assert same_weights(whole, parts)
    assert mdf.load(whole).config == SMALL


def test_weights_of_another_network_are_no_start(tmp_path):
    given = tmp_path / "given.safetensors"
    mdf.save(network(), given)
    with pytest.raises(ValueError, match=r"holds another network: model\.network is FastFusion there"):
        quiet(tmp_path / "mine.safetensors", init_from=str(given))


@pytest.mark.parametrize("model", [SMALL, CONFIG.model])
def test_a_student_approaches_its_teacher(tmp_path, model):
    teacher = tmp_path / "teacher.safetensors"
    mdf.save(network(seed=3), teacher)
    mine = quiet(
        tmp_path / "mine.safetensors",
        model=model,
        loss=NO_LOSS,
        teacher=str(teacher),
        steps=40,
        learning_rate=0.02,
    )
    losses = [record["distillation"] for record in curve(mine)]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert curve(mine)[0]["total"] == pytest.approx(losses[0])


def test_a_run_is_not_resumed_with_another_teacher(tmp_path):
    teacher, out = tmp_path / "teacher.safetensors", tmp_path / "mine.safetensors"
    mdf.save(network(seed=3), teacher)
    quiet(out, model=SMALL, teacher=str(teacher))
    mdf.save(network(seed=4), teacher)
    with pytest.raises(ValueError, match=r"belongs to another run: teacher was \w+, is \w+"):
        quiet(out, model=SMALL, teacher=str(teacher))


def test_distillation_is_the_mean_difference_from_the_teacher(tmp_path):
    teacher = tmp_path / "teacher.safetensors"
    mdf.save(FastFusion(SMALL), teacher)  # untrained, as the student is at the first step
    mine = quiet(tmp_path / "mine.safetensors", model=SMALL, teacher=str(teacher), steps=1, warmup=0)
    assert curve(mine)[0]["distillation"] == 0


def test_a_network_that_treats_pixels_alike_is_consistent(tmp_path):
    mine = quiet(tmp_path / "mine.safetensors", model=SMALL, consistency=10.0, steps=1, warmup=0)
    assert curve(mine)[0]["consistency"] == pytest.approx(
        0, abs=1e-5
    )  # untrained: a mixture of maximum and minimum
    scan = quiet(tmp_path / "scan.safetensors", consistency=10.0, steps=1, warmup=0)
    assert curve(scan)[0]["consistency"] > 1e-3


def test_consistency_lowers_what_it_measures(tmp_path):
    mine = quiet(tmp_path / "mine.safetensors", loss=NO_LOSS, consistency=100.0, steps=40, learning_rate=0.02)
    differences = [record["consistency"] for record in curve(mine)]
    assert np.mean(differences[-5:]) < 0.5 * np.mean(differences[:5])


def test_what_treats_pixels_alike_differs_from_the_next_frame_by_the_noise(tmp_path):
    mine = quiet(tmp_path / "mine.safetensors", model=SMALL, steadiness=3.0, steps=1, warmup=0)
    assert 2 < curve(mine)[0]["steadiness"] / 3.0 < 4  # σ² = 4 for one side alone, 2 for the mean of both


def test_steadiness_lowers_what_it_measures(tmp_path):
    given = tmp_path / "given.safetensors"
    mdf.save(network(), given)
    mine = quiet(
        tmp_path / "mine.safetensors",
        model=SMALL,
        init_from=str(given),
        loss=NO_LOSS,
        steadiness=1.0,
        steps=40,
        learning_rate=0.02,
    )
    differences = [record["steadiness"] for record in curve(mine)]
    assert np.mean(differences[-5:]) < 0.5 * np.mean(differences[:5])


@pytest.mark.parametrize("turn", TURNS)
def test_each_turn_is_its_own_inverse(turn):
    x = torch.rand(2, 1, 5, 7)
    assert torch.equal(turn(turn(x)), x)
    assert not torch.equal(turn(x), x)


@pytest.mark.parametrize("name", ["distillation", "consistency", "steadiness"])
def test_negative_weights_are_named(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0, found -1"):
        replace(CONFIG, **{name: -1.0})


def test_a_teacher_that_is_missing_is_named_before_training(tmp_path):
    with pytest.raises(CheckpointError, match="nobody"):
        quiet(tmp_path / "mine.safetensors", teacher="nobody")
    assert not list(run_folder(tmp_path / "mine.safetensors").glob("*.safetensors"))


def test_build_makes_the_network_of_a_configuration():
    assert isinstance(build(SMALL), FastFusion)
    assert isinstance(build(CONFIG.model), mdf.MambaDFuse)
