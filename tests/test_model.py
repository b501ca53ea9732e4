"""The whole network: equal to the published one, any size, every switch a real one."""

from dataclasses import fields, replace
from typing import get_args

import pytest
import torch

from benchmarks.gpu.golden import GOLDEN, dot_cos, golden_image, golden_network
from mambadfuse import MambaDFuse, MambaDFuseConfig
from mambadfuse.models.published_names import published_name
from mambadfuse.ops import use_backend

TINY = MambaDFuseConfig(
    dim=8, state=4, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
)


def summary(x):
    x = x.detach().double().flatten()
    return {"mean": x.mean(), "std": x.std(correction=0), "dot_cos": dot_cos(x)}


@pytest.fixture(scope="module")
def published():
    """The published network on the golden weights and images, with every listed feature and all gradients."""
    model = golden_network()
    seen = {}

    def keep(*names):
        def hook(module, inputs, outputs):
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            for name, output in zip(names, outputs, strict=False):
                seen.setdefault(name, output if output.ndim == 3 else output.flatten(2).transpose(1, 2))

        return hook

    low = []
    model.low_level.register_forward_hook(lambda m, i, o: low.append(o.flatten(2).transpose(1, 2)))
    model.high_level_a.register_forward_hook(keep("extraction.I1.branch", "extraction.I1.residual"))
    model.high_level_b.register_forward_hook(keep("extraction.I2.branch", "extraction.I2.residual"))
    model.shallow.exchange[1].register_forward_hook(keep("exchange2.I1", "-", "exchange2.I2"))
    model.shallow.register_forward_hook(keep("shallow.I1", "shallow.I2", "shallow.fused"))
    model.deep.blocks[0].register_forward_hook(keep("m3_1"))
    model.deep.blocks[4].register_forward_hook(keep("m3_5"))
    model.reconstruction.stack.register_forward_hook(keep("reconstruction.tokens"))
    a, b = golden_image("A"), golden_image("B")
    with use_backend("reference"):
        output = model(a, b)
    seen["low_level.I1"], seen["low_level.I2"] = low
    loss = ((output - (a + b) / 2) ** 2).mean()
    loss.backward()
    gradients = {published_name(name): p.grad for name, p in model.named_parameters()}
    return model, output, seen, loss, gradients


def test_published_output_equals_golden(published):
    _, output, *_ = published
    want = torch.tensor(GOLDEN["output"], dtype=torch.float64)
    assert (output[0, 0] - want).abs().max() <= 1e-9 * want.abs().max()


@pytest.mark.parametrize("name", GOLDEN["features (B, L, C tokens, row-major)"])
def test_published_features_equal_golden(published, name):
    feature = published[2][name]
    want = GOLDEN["features (B, L, C tokens, row-major)"][name]
    assert list(feature.shape) == want["shape"]
    for key, value in summary(feature).items():
        norm = want["std"] * feature.numel() ** 0.5
        scale = max(abs(want[key]), norm if key == "dot_cos" else want["std"])
        assert abs(value - want[key]) <= 1e-9 * scale, key


def test_published_loss_and_gradients_equal_golden(published):
    *_, loss, gradients = published
    want = GOLDEN["gradient_check"]
    assert loss.item() == pytest.approx(want["loss_value"], rel=1e-9)
    for name, golden in want["grads"].items():
        gradient = gradients[name]
        assert gradient.norm().item() == pytest.approx(golden["l2"], rel=1e-9), name
        assert dot_cos(gradient).item() == pytest.approx(
            golden["dot_cos"], rel=1e-9, abs=1e-9 * golden["l2"]
        ), name


def test_every_published_parameter_gets_a_gradient(published):
    assert all(g is not None and g.abs().sum() > 0 for g in published[4].values())


def test_published_parameter_count():
    assert MambaDFuse(MambaDFuseConfig.published()).parameter_count() == 1_347_271


SWITCHES = {
    f.name: [v for v in (get_args(f.type) or (True, False)) if v != f.default]
    for f in fields(MambaDFuseConfig)
    if get_args(f.type) or f.type is bool
} | {"exchange_period": [0, 3]}


def randomised(config):
    """A network all of whose weights are random: at their initial values some switches do nothing."""
    torch.manual_seed(0)
    model = MambaDFuse(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in SWITCHES.items() for v in values])
def test_every_switch_changes_the_function(name, value):
    base, changed = (randomised(c) for c in (TINY, replace(TINY, **{name: value})))
    mine, theirs = changed.state_dict(), base.state_dict()
    same = {k: t for k, t in theirs.items() if k in mine and mine[k].shape == t.shape}
    changed.load_state_dict({**mine, **same})
    a, b = torch.rand(2, 1, 1, 6, 5, dtype=torch.float64)
    difference = (base(a, b) - changed(a, b)).abs().max()
    if name == "guide_dt_init":  # an initial value: same function of the same weights
        assert difference == 0
    else:
        assert difference > 1e-9


def test_guides_start_with_short_memory_only_if_asked():
    torch.manual_seed(0)
    step = {}
    for init in ("uniform", "mamba"):
        model = MambaDFuse(replace(TINY, guide_dt_init=init))
        step[init] = torch.nn.functional.softplus(model.deep.blocks[0].ssm_a.dt_proj.bias)
    assert step["uniform"].min() > 0.4
    assert step["mamba"].max() <= 0.11


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (5, 8), (16, 16)])
@pytest.mark.parametrize("preset", ["published", "figure", "lite"])
def test_any_size_keeps_its_shape(size, preset):
    config = getattr(MambaDFuseConfig, preset)()
    sizes = {
        k: getattr(TINY, k)
        for k in ("dim", "state", "extraction_depth", "deep_depth", "reconstruction_depth")
    }
    model = MambaDFuse(replace(config, **sizes))
    a, b = torch.rand(2, 3, 1, *size)
    out = model(a, b)
    assert out.shape == a.shape
    assert out.isfinite().all()


def test_batch_elements_do_not_see_each_other():
    torch.manual_seed(0)
    model = MambaDFuse(TINY).double()
    a, b = torch.rand(2, 3, 1, 6, 7, dtype=torch.float64)
    together = model(a, b)
    alone = torch.cat([model(a[i : i + 1], b[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_is_near_float64(dtype):
    torch.manual_seed(0)
    model = MambaDFuse(TINY).double()
    a, b = torch.rand(2, 1, 1, 12, 10, dtype=torch.float64)
    exact = model(a, b)
    rough = model.to(dtype)(a.to(dtype), b.to(dtype))
    assert rough.dtype == dtype
    torch.testing.assert_close(rough.double(), exact, rtol=0, atol=1e-5 if dtype == torch.float32 else 0.05)


@pytest.mark.parametrize(
    "shapes", [((1, 1, 4, 4), (1, 1, 4, 5)), ((1, 3, 4, 4),) * 2, ((4, 4),) * 2, ((1, 1, 0, 4),) * 2]
)
def test_wrong_shapes_are_named(shapes):
    a, b = (torch.rand(s) for s in shapes)
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        MambaDFuse(TINY)(a, b)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"gate": "none"}, ValueError),
        ({"norm_passes": 3}, ValueError),
        ({"dim": 30}, ValueError),
        ({"dim": 0}, ValueError),
        ({"state": 2.5}, ValueError),
        ({"deep_conv": 1}, ValueError),
        ({"extraction_depth": -1}, ValueError),
        ({"depth": 8}, TypeError),
    ],
)
def test_config_refuses_what_it_does_not_know(wrong, error):
    with pytest.raises(error, match=next(iter(wrong))):
        MambaDFuseConfig(**wrong)


def test_a_size_that_is_too_small_is_named_with_the_least_one():
    with pytest.raises(ValueError, match="state must be at least 1, found 0"):
        MambaDFuseConfig(state=0)
    with pytest.raises(ValueError, match="deep_depth must be at least 0, found -1"):
        MambaDFuseConfig(deep_depth=-1)


def test_stages_may_be_empty():
    model = MambaDFuse(
        replace(TINY, extraction_depth=0, exchange_depth=0, deep_depth=0, reconstruction_depth=0)
    )
    a, b = torch.rand(2, 1, 1, 4, 4)
    assert model(a, b).shape == a.shape
