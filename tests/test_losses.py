"""The loss equals the published one, keeps its invariants and names invalid inputs and settings."""

import doctest
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from mambadfuse.losses import (
    FusionLoss,
    FusionLossConfig,
    config,
    fusion_loss,
    gradients,
    local,
    local_share,
    published,
    sobel,
    ssim,
    ssim_map,
    stronger_gradients,
    terms,
    texture,
)
from mambadfuse.losses.local import intensity_target, overshoot_term

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "losses.json").read_text())
INPUTS = load_file(GOLDEN / "losses_inputs.safetensors")
PRESETS = {"vif": FusionLoss.vif(), "med": FusionLoss.med(), "local": FusionLoss.local()}


def triple(index, dtype):
    fused, a, b = (INPUTS[f"{index}.{letter}"].clone().to(dtype) for letter in "FAB")
    return fused.requires_grad_(), a, b


def pictures(seed, height=16, width=20, count=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, 1, height, width, generator=generator, dtype=torch.float64).unbind()


def dense_ssim(x, y, window):
    """SSIM with an explicit 2-D window, pixel for pixel as its definition reads."""

    def local_mean(z):
        return F.conv2d(z, window[None, None], padding=window.shape[0] // 2)

    mean_x, mean_y = local_mean(x), local_mean(y)
    var_x, var_y = local_mean(x * x) - mean_x**2, local_mean(y * y) - mean_y**2
    cov = local_mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
    return (luminance * (2 * cov + 9e-4) / (var_x + var_y + 9e-4)).mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("task", ["vif", "med"])
@pytest.mark.parametrize("index", [0, 1])
def test_equals_the_published_loss_and_its_gradient(index, task, dtype):
    fused, a, b = triple(index, dtype)
    expected = EXPECTED[f"triple{index}"][task][str(dtype).removeprefix("torch.")]
    exact = 1e-5 if dtype is torch.float32 else 1e-12
    through_ssim = 1e-5 if dtype is torch.float32 else 1e-6  # its window: see the next test

    terms = PRESETS[task](fused, a, b)
    terms.total.backward()
    slope = fused.grad.double().flatten()

    assert terms.gradient.item() == pytest.approx(expected["gradient_weighted"], rel=exact)
    assert terms.intensity.item() == pytest.approx(expected["intensity_weighted"], rel=exact)
    assert terms.structure.item() == pytest.approx(expected["ssim_weighted"], rel=through_ssim)
    assert terms.total.item() == pytest.approx(expected["total"], rel=through_ssim)
    assert ssim(a, fused).item() == pytest.approx(expected["ssim_A_F"], rel=through_ssim)
    assert ssim(b, fused).item() == pytest.approx(expected["ssim_B_F"], rel=through_ssim)
    assert slope.norm().item() == pytest.approx(expected["grad_wrt_F_l2"], rel=through_ssim)
    # the sums cancel: their error is measured against the size of what is summed
    room = 1e-6 * slope.abs().sum().item()
    assert slope.sum().item() == pytest.approx(expected["grad_wrt_F_sum"], abs=room)
    wave = torch.cos(torch.arange(len(slope), dtype=torch.float64))
    assert (slope @ wave).item() == pytest.approx(expected["grad_wrt_F_dot_cos_arange"], abs=room)


@pytest.mark.parametrize("index", [0, 1])
def test_ssim_differs_from_the_published_one_only_by_the_rounding_of_the_window(index):
    fused, a, _ = triple(index, torch.float64)
    published = EXPECTED[f"triple{index}"]["vif"]["float64"]["ssim_A_F"]
    window = torch.tensor(EXPECTED["_meta"]["ssim_window_1d_f32"])
    rounded = torch.outer(window, window).double()
    unrounded = torch.outer(window.double(), window.double())

    assert dense_ssim(a, fused, rounded).item() == pytest.approx(published, rel=1e-11)
    assert dense_ssim(a, fused, unrounded).item() == pytest.approx(ssim(a, fused).item(), rel=1e-7)


def test_weights_of_the_gradient_mode_are_the_mean_edges_of_the_batch():
    fused, a, b = triple(0, torch.float64)
    expected = EXPECTED["triple0"]["vif"]["float64"]
    assert sobel(a).mean().item() == pytest.approx(expected["mean_sobel_A"], rel=1e-12)
    alpha = expected["w_A"]
    blend = alpha * ssim(a, fused) + (1 - alpha) * ssim(b, fused)
    assert FusionLoss.vif()(fused, a, b).structure.item() == pytest.approx(10 * (1 - blend.item()), rel=1e-12)


def test_sobel_of_a_ramp_is_eight_times_its_slope_inside():
    ramp = torch.arange(6.0).expand(5, 6)[None, None]
    torch.testing.assert_close(sobel(ramp)[..., 1:-1, 1:-1], torch.full((1, 1, 3, 4), 8.0))
    torch.testing.assert_close(sobel(ramp), sobel(ramp.transpose(2, 3)).transpose(2, 3))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), height=st.integers(1, 20), width=st.integers(1, 20))
def test_ssim_is_symmetric_bounded_and_one_for_equal_pictures(seed, height, width):
    x, y, _ = pictures(seed, height, width)
    assert ssim(x, y).item() == pytest.approx(ssim(y, x).item(), rel=1e-12)
    assert -1 <= ssim(x, y).item() < 1
    assert ssim(x, x).item() == pytest.approx(1, abs=1e-12)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), task=st.sampled_from(sorted(PRESETS)))
def test_loss_is_symmetric_in_the_sources_and_sums_its_terms(seed, task):
    fused, a, b = pictures(seed)
    terms, exchanged = PRESETS[task](fused, a, b), PRESETS[task](fused, b, a)
    assert terms.total.item() == pytest.approx(exchanged.total.item(), rel=1e-12)
    assert terms.total.item() == pytest.approx(sum(t.item() for t in terms[1:]), rel=1e-12)
    assert all(t.item() >= 0 for t in terms)


def test_a_perfect_answer_costs_nothing():
    picture = 0.9 * pictures(0)[0]  # nowhere saturated: glare would be toned down
    for loss in PRESETS.values():
        assert loss(picture, picture, picture).total.item() == pytest.approx(0, abs=1e-12)


def test_a_magnitude_cannot_tell_a_picture_from_its_negative_a_direction_can():
    picture = pictures(4)[0]
    inside = np.s_[:, :, 2:-2, 2:-2]
    torch.testing.assert_close(sobel(picture)[inside], sobel(1 - picture)[inside])
    loss = FusionLoss(edges="direction", intensity=0.0, structure=0.0)
    assert loss(picture, picture, picture).total.item() == 0
    negative = loss(1 - picture, picture, picture).total.item()
    assert negative == pytest.approx(2 * 20 * gradients(picture, "replicate").abs().sum(1).mean().item())


def test_a_replicated_border_makes_no_edge():
    flat = torch.full((1, 1, 5, 6), 0.7)
    assert gradients(flat, "replicate").abs().max().item() == pytest.approx(0, abs=1e-6)
    assert gradients(flat).abs().max().item() > 1


def test_whole_regions_follow_the_source_with_the_stronger_edges():
    """One weak texture, and one strong step: around the step all pixels follow it, far away none does."""
    texture = 0.05 * pictures(5, height=8, width=80)[0][:1]
    step = (torch.arange(80) >= 20).double().expand(1, 1, 8, 80)
    chosen = stronger_gradients(texture, step)
    torch.testing.assert_close(chosen[..., 15:25], gradients(step, "replicate")[..., 15:25])
    torch.testing.assert_close(chosen[..., 50:], gradients(texture, "replicate")[..., 50:])


def test_structure_is_asked_of_the_source_that_has_some():
    noise, flat = pictures(6)[0], torch.full((2, 1, 16, 20), 0.5, dtype=torch.float64)
    inside = np.s_[:, :, 6:-6, 6:-6]
    assert local_share(noise, flat)[inside].min() > 0.99
    torch.testing.assert_close(local_share(noise, flat), 1 - local_share(flat, noise))
    torch.testing.assert_close(local_share(flat, flat)[inside], flat[inside])


def test_a_smaller_range_is_the_same_as_stronger_pictures():
    x, y, _ = pictures(7)
    torch.testing.assert_close(ssim_map(x / 8, y / 8, value_range=1 / 8), ssim_map(x, y))
    torch.testing.assert_close(local_share(x / 8, y / 8, value_range=1 / 8), local_share(x, y))


def flat_sky() -> tuple[torch.Tensor, torch.Tensor]:
    """Grey levels of two sources that are both flat: bright a, dark b."""
    return torch.full((1, 1, 32, 32), 0.7, dtype=torch.float64), torch.full(
        (1, 1, 32, 32), 0.1, dtype=torch.float64
    )


def test_a_flat_region_follows_the_intensity_alone():
    a, b = flat_sky()
    inside = np.s_[..., 12:-12, 12:-12]  # SSIM sees zeros beyond the border
    fused = torch.full_like(a, 0.5).requires_grad_()
    terms = FusionLoss.local()(fused, a, b)
    (terms.gradient + terms.structure).backward(retain_graph=True)
    assert fused.grad[inside].abs().max() < 1e-4
    fused.grad = None
    terms.intensity.backward()
    assert (fused.grad < 0).all()  # towards the brighter source, threefold
    torch.testing.assert_close(
        fused.grad[inside], torch.full_like(a, -3 * 100 / a.numel())[inside], rtol=1e-3, atol=0
    )


def test_the_published_structure_pulls_a_flat_region_towards_both_sources():
    a, b = flat_sky()
    fused = torch.full_like(a, 0.7).requires_grad_()
    FusionLoss(ssim_weighting="local")(fused, a, b).structure.backward()
    assert (fused.grad[..., 8:-8, 8:-8] > 0).all()


def test_texture_is_0_where_both_are_flat_and_near_1_where_either_is_not():
    noise, flat = pictures(6)[0], torch.full((2, 1, 16, 20), 0.5, dtype=torch.float64)
    torch.testing.assert_close(texture(flat, 0.2 * flat), torch.zeros_like(flat))  # at the border, too
    assert texture(noise, flat).min() > 0.97
    torch.testing.assert_close(texture(noise, flat), texture(flat, noise))
    grain = 0.5 + 0.02 * (torch.arange(20.0).double() % 2 * 2 - 1).expand(2, 1, 16, 20)
    torch.testing.assert_close(texture(grain, flat), torch.full_like(flat, 0.5), atol=0.02, rtol=0)


def test_glare_shows_the_contrast_of_the_other_source_below_white():
    saturated = torch.ones(1, 1, 64, 96, dtype=torch.float64)
    people = torch.full_like(saturated, 0.3)
    people[..., 20:44, 44:52] = 0.9
    target = intensity_target(saturated, people, glare=0.5)
    assert target[..., 32, 48].item() == 1  # what stands out stays white
    assert target[..., 32, 40].item() < 0.85  # what surrounds it does not
    assert target[..., 32, 2].item() > target[..., 32, 40].item()
    assert target.max() <= 1
    torch.testing.assert_close(target, intensity_target(people, saturated, glare=0.5))
    torch.testing.assert_close(intensity_target(saturated, 0 * people, glare=0.5), saturated)


@given(seed=st.integers(0, 2**31))
def test_glare_changes_nothing_where_no_source_is_saturated(seed):
    a, b, _ = pictures(seed)
    a, b = 0.95 * a, 0.95 * b
    assert torch.equal(intensity_target(a, b, glare=1.0), torch.maximum(a, b))


def test_overshoot_is_the_distance_from_the_range_of_both_sources_and_its_margin():
    a, b = torch.full((1, 1, 2, 2), 0.4), torch.full((1, 1, 2, 2), 0.6)
    fused = torch.tensor([[[[0.5, 0.6 + 0.03 * 0.4], [0.7, 0.3]]]])
    expected = (0.1 - 0.03 * 0.4) + (0.1 - 0.03 * 0.4)
    assert overshoot_term(fused, a, b).item() == pytest.approx(expected / 4)
    assert overshoot_term(torch.full_like(a, 1.02), a, torch.ones_like(a)).item() == pytest.approx(0.02)
    assert overshoot_term(torch.full_like(a, -0.02), torch.zeros_like(a), b).item() == pytest.approx(0.02)


@given(seed=st.integers(0, 2**31))
def test_the_range_of_the_sources_costs_nothing(seed):
    fused, a, b = pictures(seed)
    between = torch.minimum(a, b) + fused * (a - b).abs()
    assert FusionLoss.local()(between, a, b).overshoot == 0


@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 10))
def test_a_robust_intensity_grows_with_the_logarithm_of_the_difference(seed, scale):
    fused, a, b = pictures(seed)
    apart = (fused - torch.maximum(a, b)).abs().numpy()
    terms = FusionLoss(robust_scale=scale)(fused, a, b)
    expected = 20 * np.mean(scale * np.log(1 + apart / scale))
    assert terms.intensity.item() == pytest.approx(expected, rel=1e-9)
    plain = FusionLoss()(fused, a, b)
    assert terms.intensity < plain.intensity
    assert (terms.gradient, terms.structure) == (plain.gradient, plain.structure)


def test_a_robust_intensity_pulls_less_at_what_is_far():
    a = torch.zeros(1, 1, 1, 2)
    fused = torch.tensor([[[[0.05, 0.95]]]], requires_grad=True)
    FusionLoss(robust_scale=0.05)(fused, a, a).intensity.backward()
    near, far = fused.grad.flatten().tolist()
    assert near / far == pytest.approx((0.05 + 0.95) / (0.05 + 0.05))


def test_flat_regions_count_with_their_weight():
    flat, fused = torch.full((1, 1, 16, 16), 0.5), torch.full((1, 1, 16, 16), 0.25)
    once, thrice = (FusionLoss(flat="intensity", flat_weight=w)(fused, flat, flat) for w in (1.0, 3.0))
    assert once.intensity.item() == pytest.approx(20 * 0.25)
    assert thrice.intensity.item() == pytest.approx(3 * 20 * 0.25)
    assert once.structure == thrice.structure
    everywhere = FusionLoss(flat_weight=3.0)(fused, flat, flat)
    assert everywhere.intensity == once.intensity


def test_weights_scale_their_own_term_alone():
    fused, a, b = pictures(1)
    base, doubled = FusionLoss()(fused, a, b), FusionLoss(intensity=40)(fused, a, b)
    assert doubled.intensity.item() == pytest.approx(2 * base.intensity.item(), rel=1e-12)
    assert doubled.gradient == base.gradient
    assert doubled.structure == base.structure


@pytest.mark.parametrize("task", sorted(PRESETS))
def test_gradient_is_that_of_finite_differences(task):
    fused, a, b = (picture[:1, :, :5, :6] for picture in pictures(2))
    fused = fused.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: PRESETS[task](f, a, b).total, fused)


def test_black_sources_weigh_equally():
    black, fused = torch.zeros(1, 1, 12, 12), torch.full((1, 1, 12, 12), 0.5, requires_grad=True)
    terms = FusionLoss.vif()(fused, black, black)
    terms.total.backward()
    assert terms.structure.item() == pytest.approx(10 * (1 - ssim(black, fused).item()), rel=1e-6)
    assert torch.isfinite(fused.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    fused, a, b = (picture.to(dtype) for picture in pictures(3))
    expected = FusionLoss.vif()(fused.float(), a.float(), b.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = FusionLoss.vif()(fused, a, b)
    assert terms.total.dtype is torch.float32
    assert terms == expected


def test_wrong_shapes_name_the_picture():
    good = torch.rand(2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"b must have shape .*\(2, 1, 8, 8\), found \(2, 1, 8, 9\)"):
        FusionLoss()(good, good, torch.rand(2, 1, 8, 9))
    with pytest.raises(ValueError, match="fused must have shape"):
        FusionLoss()(torch.rand(2, 3, 8, 8), good, good)


def test_another_padding_is_refused():
    with pytest.raises(ValueError, match="border must be 'zeros' or 'replicate', found 'reflect'"):
        gradients(torch.rand(1, 1, 8, 8), "reflect")


@pytest.mark.parametrize(
    "bad",
    [
        {"intensity": -1.0},
        {"gradient": float("nan")},
        {"ssim_weighting": "max"},
        {"edges": "soft"},
        {"ssim_range": 0.0},
        {"ssim_range": float("inf")},
        {"intensity": float("inf")},
        {"structure": float("nan")},
        {"glare": -0.1},
        {"glare": 1.1},
        {"flat": "grey"},
        {"overshoot": -1.0},
        {"robust_scale": 0.0},
        {"flat_weight": -1.0},
    ],
)
def test_wrong_settings_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        FusionLoss(**bad)


def test_the_loss_is_a_module_without_parameters_that_shows_its_settings():
    loss = FusionLoss(FusionLossConfig.local(), glare=0.3)
    assert not loss.state_dict()
    assert "glare=0.3" in repr(loss)
    assert (loss.config.glare, loss.config.edges) == (0.3, "direction")
    with pytest.raises(TypeError, match="gradent"):
        FusionLoss(gradent=1.0)


def test_published_weights_and_terms_make_the_published_loss():
    fused, a, b = pictures(9)
    by_hand = [
        20 * published.intensity_term(fused, torch.maximum(a, b)),
        20 * published.gradient_term(fused, a, b),
        10 * published.structure_term(fused, a, b, published.gradient_share(a, b)),
    ]
    loss = FusionLoss.vif()(fused, a, b)
    assert [loss.intensity, loss.gradient, loss.structure] == by_hand


@pytest.mark.parametrize("module", [terms, published, local, config, fusion_loss])
def test_examples_run(module):
    result = doctest.testmod(module, extraglobs={"torch": torch})
    assert result.attempted > 0
    assert result.failed == 0
