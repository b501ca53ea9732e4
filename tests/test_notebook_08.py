"""What notebook 08 builds, beside the package: the reconstruction, the whole network, its count, its loss."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions
from safetensors.torch import load_file

from mambadfuse import MambaDFuse, MambaDFuseConfig
from mambadfuse.losses import FusionLoss, FusionLossConfig
from mambadfuse.models.reconstruction import Reconstruction

NOTEBOOK = definitions("08")
Assembled, Rebuild, terms_by_hand = (NOTEBOOK[name] for name in ("Assembled", "Rebuild", "terms_by_hand"))
HERE = Path(__file__).parent
TINY = {
    "dim": 8,
    "state": 4,
    "extraction_depth": 1,
    "exchange_depth": 1,
    "deep_depth": 1,
    "reconstruction_depth": 1,
}
PRESETS = ("published", "figure", "lite")


def tiny(preset, **changes):
    return replace(getattr(MambaDFuseConfig, preset)(), **(TINY | changes))


def pictures(seed, count=2, batch=2, height=9, width=11):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, batch, 1, height, width, generator=generator, dtype=torch.float64)


def short(residual="dropped"):
    return MambaDFuseConfig(dim=8, reconstruction_depth=2, stage_residual=residual)


rebuilds = pytest.mark.parametrize("cls", [Reconstruction, Rebuild], ids=["package", "notebook"])
networks = pytest.mark.parametrize("cls", [MambaDFuse, Assembled], ids=["package", "notebook"])


@rebuilds
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 3)])
def test_reconstruction_gives_one_picture_of_any_size(cls, size):
    height, width = size
    assert cls(short())(torch.randn(2, height * width, 8), height).shape == (2, 1, height, width)


@rebuilds
def test_nothing_keeps_pixels_in_range(cls):
    torch.manual_seed(0)
    module = cls(short()).requires_grad_(False)
    module.conv3.bias.fill_(3)
    assert module(torch.randn(1, 12, 8), 3).max() > 1


@pytest.mark.parametrize("residual", ["added", "dropped"])
def test_rebuild_is_the_reconstruction(residual):
    NOTEBOOK["assert_equal"](
        Rebuild(short(residual)).double(),
        Reconstruction(short(residual)).double(),
        torch.randn(2, 12, 8, dtype=torch.float64),
        3,
    )


def test_assert_equal_notices_a_difference():
    with pytest.raises(AssertionError):
        NOTEBOOK["assert_equal"](
            Rebuild(short("dropped")).double(),
            Reconstruction(short("added")).double(),
            torch.randn(1, 12, 8, dtype=torch.float64),
            3,
        )


@pytest.mark.parametrize("preset", PRESETS)
def test_the_assembled_network_is_the_package(preset):
    config = tiny(preset)
    NOTEBOOK["assert_equal"](Assembled(config).double(), MambaDFuse(config).double(), *pictures(0))


@networks
@pytest.mark.parametrize("preset", PRESETS)
def test_pictures_of_a_batch_do_not_see_each_other(cls, preset):
    torch.manual_seed(0)
    network = cls(tiny(preset)).double().requires_grad_(False)
    a, b = pictures(1, batch=3)
    alone = torch.cat([network(a[i : i + 1], b[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(network(a, b), alone, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=15)
@given(
    st.sampled_from([8, 12, 20, 60]),
    st.integers(1, 3),
    *(st.integers(0, 3) for _ in range(4)),
    st.integers(1, 16),
)
def test_paper_and_memory_count_the_same(dim, expand, extraction, exchange, deep, reconstruction, state):
    config = replace(
        MambaDFuseConfig.published(),
        dim=dim, expand=expand, extraction_depth=extraction, exchange_depth=exchange, deep_depth=deep,
        reconstruction_depth=reconstruction, state=state,
    )  # fmt: skip
    assert sum(NOTEBOOK["counted"](config).values()) == MambaDFuse(config).parameter_count()


def test_the_published_count():
    assert sum(NOTEBOOK["counted"](MambaDFuseConfig.published()).values()) == 1_347_271


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("x.A_log", -2, 4), ("x.D", -1, 3), ("norm1.body.weight", -0.5, 2.5), ("x.dt_proj_b.bias", -5, 1)],
)
def test_the_recipe_has_a_scale_for_each_kind(name, low, high):
    values = NOTEBOOK["golden_weight"](name, torch.Size([120, 16]))
    assert low < values.min() < values.max() < high
    assert np.array_equal(values, NOTEBOOK["golden_weight"](name, torch.Size([120, 16])))


def test_sobel_of_a_step_by_hand():
    step = torch.tensor([[0.0, 0, 1, 1]] * 3)[None, None]
    assert NOTEBOOK["nabla"](step)[0, 0, 1].tolist() == [0, 4, 4, 4]  # the last one is the border


def test_ssim_of_equal_pictures_is_one_and_it_is_symmetric():
    x, y = pictures(2)
    assert NOTEBOOK["ssim"](x, x).item() == pytest.approx(1)
    torch.testing.assert_close(NOTEBOOK["ssim"](x, y), NOTEBOOK["ssim"](y, x))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.booleans(), st.integers(2, 14), st.integers(2, 14))
def test_the_terms_are_the_packages(seed, medical, height, width):
    f, a, b = pictures(seed, 3, 2, height, width)
    package = FusionLoss.med() if medical else FusionLoss.vif()
    c = package.config
    weights = c.intensity, c.gradient, c.structure
    ours = [w * term for w, term in zip(weights, terms_by_hand(f, a, b, medical), strict=True)]
    theirs = package(f, a, b)
    torch.testing.assert_close(
        ours, [theirs.intensity, theirs.gradient, theirs.structure], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("task", ["vif", "med"])
def test_the_terms_are_the_published_ones(task):
    golden = json.loads((HERE / "golden" / "losses.json").read_text())["triple0"][task]["float32"]
    inputs = load_file(HERE / "golden" / "losses_inputs.safetensors")
    intensity, gradient, structure = terms_by_hand(*(inputs[f"0.{x}"] for x in "FAB"), task == "med")
    weights = getattr(FusionLossConfig, task)()
    assert weights.intensity * intensity.item() == pytest.approx(golden["intensity_weighted"], rel=1e-5)
    assert weights.gradient * gradient.item() == pytest.approx(golden["gradient_weighted"], rel=1e-5)
    assert weights.structure * structure.item() == pytest.approx(golden["ssim_weighted"], rel=1e-5)


def test_a_negative_has_the_same_gradient_term_inside():
    f = pictures(3, 1)[0]
    nabla, inside = NOTEBOOK["nabla"], np.s_[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(nabla(f)[inside], nabla(1 - f)[inside])


@pytest.mark.slow
def test_overfitting_pixels_finds_the_maximum():
    a, b = pictures(4, height=6, width=6).float()
    found = NOTEBOOK["overfit"](FusionLoss(intensity=20, gradient=0, structure=0), (a + b) / 2, a, b, 150)
    torch.testing.assert_close(found, torch.maximum(a, b), rtol=0, atol=0.02)


def test_a_wave_hears_values_and_places():
    x = torch.arange(6.0, dtype=torch.float64)
    wave = NOTEBOOK["wave"]
    assert wave(x) != wave(x.flip(0))
    assert wave(torch.tensor([0, 0, 1, 0], dtype=torch.float64)) == pytest.approx(np.cos(2))


def test_the_local_loss_by_hand_is_the_package_s_without_glare():
    f, a, b = torch.rand(3, 2, 1, 24, 20, generator=torch.Generator().manual_seed(0))
    a[..., :8] = 1  # glare
    loss = FusionLoss(FusionLossConfig.local(), glare=0)  # the rule that the notebook leaves out
    weights = [getattr(loss.config, name) for name in ("intensity", "gradient", "structure", "overshoot")]
    ours = [w * term for w, term in zip(weights, NOTEBOOK["local_by_hand"](f, a, b), strict=True)]
    theirs = loss(f, a, b)
    torch.testing.assert_close(
        ours, [theirs.intensity, theirs.gradient, theirs.structure, theirs.overshoot], rtol=1e-4, atol=1e-5
    )


def test_converged_goes_on_until_a_round_gains_next_to_nothing():
    a, b = torch.rand(2, 1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    loss, start = FusionLoss(intensity=20, gradient=0, structure=0), (a + b) / 2
    once = NOTEBOOK["overfit"](loss, start, a, b, 10)
    best = NOTEBOOK["converged"](loss, start, a, b, 10)
    again = NOTEBOOK["overfit"](loss, best, a, b, 10)
    assert float(loss(best, a, b).total) <= float(loss(once, a, b).total)
    assert float(loss(again, a, b).total) >= 0.999 * float(loss(best, a, b).total)
