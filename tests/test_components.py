"""Components of your own by name: found, built, counted, stored by name alone, and never imported by a file."""

import sys
from dataclasses import replace

import pytest
import torch
from component_cases import MIXER, edit, forget, install
from training_cases import TINY

from mambadfuse import MambaDFuse, cli
from mambadfuse.components import component, is_component
from mambadfuse.data.images import write_image
from mambadfuse.data.synthetic import synthetic_pair
from mambadfuse.losses import FusionLossConfig, build_loss
from mambadfuse.models import execution
from mambadfuse.models.checkpoints import CheckpointError, load, save
from mambadfuse.models.config import MambaConfig, MambaDFuseConfig
from mambadfuse.models.flops import UnknownFlopsError, forward_flops, mixer_flops, total_flops
from mambadfuse.models.mamba import MambaStack, SelectiveSSM
from mambadfuse.models.scan_order import scan_direction
from mambadfuse.training import configure


@pytest.fixture
def place(tmp_path, monkeypatch):
    yield install(tmp_path, monkeypatch)
    forget(monkeypatch)


def write(file, text):
    file.write_text(f"import torch\nfrom torch import nn\n\n\n{text}", encoding="utf-8")


CAUSAL = """
class Sums(nn.Module):
    causal = True

    def __init__(self, config):
        super().__init__()

    def forward(self, u, height, caches):
        before = 0 if caches is None else caches.get(self, 0)
        sums = before + u.cumsum(1)
        if caches is not None:
            caches[self] = sums[:, -1:]
        return sums
"""


@pytest.mark.parametrize(
    "changes",
    [
        {"mixer": "attention:RowAttention"},
        {"mixer": "gated_conv:GatedConv"},
        {"fusion_block": "mine:Mixture"},
        {"scan_order": "mine:boustrophedon"},
        {"mixer": "attention:RowAttention", "scan_order": "alternating", "gate": "shared"},
    ],
    ids=str,
)
def test_every_weight_of_a_network_with_a_component_is_trained(place, changes):
    torch.manual_seed(0)
    model = MambaDFuse(replace(TINY, **changes))
    fused = model(*torch.rand(2, 1, 1, 9, 8))
    assert fused.shape == (1, 1, 9, 8)
    (fused**2).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_mixer_that_is_the_scan_computes_what_the_scan_computes(place):
    write(
        place / "mine.py",
        "from mambadfuse.models.mamba import SelectiveSSM\n\n\nclass Same(SelectiveSSM):\n    pass\n",
    )
    torch.manual_seed(0)
    scan = MambaDFuse(replace(TINY, state_matrix="own")).double()
    own = MambaDFuse(replace(scan.config, mixer="mine:Same")).double()
    own.load_state_dict(dict(zip(own.state_dict(), scan.state_dict().values(), strict=True)))
    assert isinstance(own.high_level_a.blocks[0].mamba.ssm.own, SelectiveSSM)
    pair = torch.rand(2, 1, 1, 7, 9, dtype=torch.float64)
    torch.testing.assert_close(own(*pair), scan(*pair), rtol=0, atol=1e-12)


def test_a_causal_mixer_carries_over_what_it_keeps_in_the_caches(place, monkeypatch):
    write(place / "mine.py", CAUSAL)
    stack = MambaStack(MambaConfig(dim=4, mixer="mine:Sums"), depth=2).double()
    x = torch.randn(1, 6 * 7, 4, dtype=torch.float64)
    whole = stack(x, height=6)
    monkeypatch.setattr(execution, "TILE", 5)
    with torch.no_grad():
        pieces = stack(x, height=6)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-12)


def test_a_mixer_that_is_not_causal_reads_the_map_as_it_is(place):
    write(place / "mine.py", CAUSAL)
    turning = MambaConfig(scan_order="alternating")
    assert scan_direction(replace(turning, mixer="attention:RowAttention"), 1) == "right"
    assert scan_direction(replace(turning, mixer="mine:Sums"), 1) == "left"


def test_a_scan_in_an_order_of_your_own_sees_what_it_has_read(place):
    stack = MambaStack(MambaConfig(dim=4, state=2, scan_order="mine:boustrophedon"), depth=1).double()
    x = torch.randn(1, 2 * 3, 4, dtype=torch.float64, requires_grad=True)
    branch, _ = stack(x, height=2)
    branch[0, 5].sum().backward()  # the lower right token: the first of its row to be read
    assert (x.grad[0].abs().sum(-1) > 0).tolist() == [True, True, True, False, False, True]


@pytest.mark.parametrize(
    "order",
    ["torch.zeros(height * width).long()", "list(range(height * width))", "torch.arange(height * width) / 1"],
)
def test_an_order_that_is_no_permutation_is_refused(place, order):
    write(place / "mine.py", f"def wrong(height, width, index):\n    return {order}\n")
    stack = MambaStack(MambaConfig(dim=4, scan_order="mine:wrong"), depth=1)
    with pytest.raises(ValueError, match="mine:wrong: expected each of the tokens 0 to 5 of 2 x 3 once"):
        stack(torch.zeros(1, 6, 4), height=2)


def test_a_loss_of_your_own_is_given_the_settings_and_gives_its_terms(place):
    fused, a, b = torch.rand(3, 1, 1, 16, 16)
    plain = build_loss(FusionLossConfig.med())(fused, a, b)
    own = build_loss(replace(FusionLossConfig.med(), criterion="mine:Squared"))(fused, a, b)
    torch.testing.assert_close(own.gradient, plain.gradient**2)
    torch.testing.assert_close(own.total, plain.total - plain.gradient + plain.gradient**2)


LOSS = """from collections import namedtuple

Two = namedtuple('Two', 'total other')


class Loss(nn.Module):
    def __init__(self, config):
        super().__init__()
"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("        self.w = nn.Linear(1, 1)\n", "mine:Loss: has parameters"),
        (
            "    def forward(self, fused, a, b):\n        return fused\n",
            "mine:Loss: expected a scalar, or a named",
        ),
        *(
            (
                f"    def forward(self, fused, a, b):\n        return Two({terms})\n",
                "mine:Loss: expected a scalar, or a named",
            )
            for terms in (
                "fused.mean(), 0.5",
                "0.5, fused.mean()",
                "fused.mean(), fused",
                "fused.mean(), None",
            )
        ),
    ],
)
def test_a_loss_that_cannot_be_minimised_is_refused(place, body, message):
    write(place / "mine.py", LOSS + body)
    with pytest.raises(ValueError, match=message):
        build_loss(FusionLossConfig(criterion="mine:Loss"))(*torch.rand(3, 1, 1, 8, 8))


def test_a_scalar_is_a_loss(place):
    write(
        place / "mine.py",
        LOSS + "    def forward(self, fused, a, b):\n        return (fused - a).abs().mean()\n",
    )
    fused, a, b = torch.rand(3, 1, 1, 8, 8)
    terms = build_loss(FusionLossConfig(criterion="mine:Loss"))(fused, a, b)
    assert terms._asdict() == {"total": (fused - a).abs().mean()}


def test_operations_are_those_that_a_component_states_or_torch_counts(place):
    h, w, inner = 6, 7, TINY.inner
    stated = replace(TINY, mixer="gated_conv:GatedConv")
    assert mixer_flops(stated, h, w) == h * w * inner * 38
    counted = replace(TINY, mixer="attention:RowAttention")
    assert mixer_flops(counted, h, w) == h * w * (2 * inner * 3 * inner + 2 * 2 * w * inner)
    block = replace(TINY, fusion_block="mine:Mixture")
    assert forward_flops(block, h, w)["deep fusion"] == h * w * 2 * 3 * TINY.dim * TINY.dim


def test_a_causal_mixer_is_counted(place):
    mixer = CAUSAL.replace(
        "before + u.cumsum(1)", "before + u @ torch.ones(2 * u.shape[2], u.shape[2]).T[:, : u.shape[2]]"
    )
    write(place / "mine.py", mixer)
    assert mixer_flops(replace(TINY, mixer="mine:Sums"), 3, 5) == 15 * 2 * TINY.inner**2


def test_operations_that_nobody_knows_are_said_to_be_unknown(place):
    write(place / "mine.py", CAUSAL)
    config = replace(TINY, mixer="mine:Sums")
    with pytest.raises(UnknownFlopsError, match="mine:Sums: its operations are unknown"):
        forward_flops(config, 8, 8)
    assert total_flops(config, 8, 8) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere:Mixer", "nowhere:Mixer: there is no module nowhere on sys.path or in .*"),
        ("attention:Row", r"attention:Row: .*attention.py has no Row"),
        ("mine:boustrophedon", "expected a class derived from torch.nn.modules.module.Module"),
        ("broken:Mixer", "broken cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_component_that_cannot_be_used_is_named(place, name, message):
    (place / "broken.py").write_text("1 / 0\n")
    with pytest.raises(ValueError, match=message):
        MambaDFuse(replace(TINY, mixer=name))


def test_a_component_that_returns_another_shape_is_named(place):
    edit(
        place / "gated_conv.py",
        "return to_tokens(values * gates.sigmoid())",
        "return to_tokens(values)[:, 1:]",
    )
    with pytest.raises(ValueError, match="gated_conv:GatedConv: expected tokens"):
        MambaDFuse(replace(TINY, mixer="gated_conv:GatedConv"))(*torch.rand(2, 1, 1, 8, 8))


def test_a_component_that_returns_no_tensor_is_named(place):
    edit(place / "gated_conv.py", "return to_tokens(values * gates.sigmoid())", "return values, gates")
    with pytest.raises(
        ValueError, match=r"gated_conv:GatedConv: expected tokens \(1, 64, 8\), .* found a tuple"
    ):
        MambaDFuse(replace(TINY, mixer="gated_conv:GatedConv"))(*torch.rand(2, 1, 1, 8, 8))


def test_settings_name_components_and_import_them(place):
    config = configure("ct-mri", "minutes", overrides=[MIXER, "loss=mine:Squared", "loss.gradient=7"])
    assert config.model.mixer == "attention:RowAttention"
    assert (config.loss.criterion, config.loss.gradient, config.loss.structure) == ("mine:Squared", 7.0, 50.0)
    (place / "settings.yaml").write_text('model: {mixer: attention:RowAttention}\nloss: "mine:Squared"\n')
    read = configure("ivf", "minutes", place / "settings.yaml")
    assert (read.model.mixer, read.loss.criterion) == ("attention:RowAttention", "mine:Squared")
    with pytest.raises(ValueError, match="nowhere:Mixer: there is no module"):
        configure(overrides=["model.mixer=nowhere:Mixer"])


def test_changed_code_is_imported_anew_with_what_it_imports(place):
    (place / "attention.py").write_text("from mine import HEADS\n\n\nclass A:\n    heads = HEADS\n")
    (place / "mine.py").write_text("HEADS = 2\n")
    first = component("attention:A")
    assert component("attention:A") is first
    (place / "mine.py").write_text("HEADS = 40\n")
    assert component("attention:A").heads == 40


@pytest.mark.parametrize("name", ["scan", "a:b:c", "a b:C", "../a:B", "a:", ":B", 3, None])
def test_what_is_no_name_of_a_component(name):
    assert not is_component(name)


@pytest.fixture
def weights(place, monkeypatch):
    """A file of weights that need a component, in a process that has not heard of it."""
    torch.manual_seed(0)
    model = MambaDFuse(replace(TINY, mixer="attention:RowAttention"))
    save(model, place / "w.safetensors")
    forget(monkeypatch)
    return place / "w.safetensors", model


def test_a_file_of_weights_imports_nothing(weights):
    path, _ = weights
    with pytest.raises(
        CheckpointError, match=r"w.safetensors: needs the component attention:RowAttention.*--component"
    ):
        load(path)
    assert "attention" not in sys.modules


def test_weights_are_loaded_once_their_component_is_named(weights):
    path, model = weights
    component("attention:RowAttention")
    loaded = load(path)
    pair = torch.rand(2, 1, 1, 8, 9)
    assert loaded.config == model.config
    torch.testing.assert_close(loaded(*pair), model(*pair), rtol=0, atol=0)


def test_weights_start_a_run_that_names_their_component(weights):
    path, _ = weights
    with pytest.raises(CheckpointError, match="needs the component"):
        configure(overrides=[f"init_from={path}"])
    assert configure(overrides=[f"init_from={path}", MIXER]).model.dim == TINY.dim


def test_the_command_names_the_component_of_its_weights(weights, capsys):
    path, _ = weights
    toy = synthetic_pair(0, (24, 32))
    for side in ("a", "b"):
        write_image(path.with_name(f"{side}.png"), (255 * getattr(toy, side)).astype("uint8"))
    command = ["fuse", "--a", "a.png", "--b", "b.png", "--out", "f.png", "--model", path.name]
    assert cli.main(command) == 1
    assert "--component attention:RowAttention" in capsys.readouterr().err
    assert cli.main([*command, "--component", "attention:RowAttention"]) == 0
    assert path.with_name("f.png").exists()


def test_folders_fused_with_other_code_are_not_taken_for_the_same(weights, capsys):
    path, _ = weights
    toy = synthetic_pair(0, (24, 32))
    for side in ("a", "b"):
        path.with_name(side).mkdir()
        write_image(path.with_name(side) / "0.png", (255 * getattr(toy, side)).astype("uint8"))
    command = ["fuse", "--a", "a", "--b", "b", "--out", "f", "--model", path.name]
    command += ["--component", "attention:RowAttention"]
    assert cli.main(command) == 0
    assert cli.main(command) == 0
    edit(path.with_name("attention.py"), "HEADS = 2", "HEADS = 4")
    assert cli.main(command) == 1
    assert "was made with code attention " in capsys.readouterr().err


def test_a_buffer_that_no_file_holds_is_named(place):
    write(
        place / "mine.py",
        LOSS.replace("Loss", "Mixer") + "        self.register_buffer('b', torch.ones(1), False)\n",
    )
    save(MambaDFuse(replace(TINY, mixer="mine:Mixer")), place / "w.safetensors")
    with pytest.raises(
        CheckpointError, match=r"does not hold the buffer .*b, register it with persistent=True"
    ):
        load(place / "w.safetensors")


def test_the_configuration_lists_components():
    config = MambaDFuseConfig(mixer="a:B", fusion_block="c:D")
    assert config.own_components() == {"mixer": "a:B", "fusion_block": "c:D"}
    assert MambaDFuseConfig().own_components() == {}
