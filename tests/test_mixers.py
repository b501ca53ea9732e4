"""What stands in the place of the scan for comparison: two scans that see everything, a convolution that sees near."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mambadfuse import MambaDFuse, MambaDFuseConfig
from mambadfuse.models.checkpoints import load, save
from mambadfuse.models.config import MambaConfig
from mambadfuse.models.mamba import BidirectionalSSM, GatedConv, Mamba, SelectiveSSM

TINY = MambaDFuseConfig(
    dim=8, state=4, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
)
SIZES = MambaConfig(dim=3, state=3)  # E = 6


@pytest.fixture
def tokens():
    torch.manual_seed(0)
    return torch.randn(2, 2, 12, 6, dtype=torch.float64)  # u and z, (B, L, E) each


def test_bidirectional_read_backwards_as_they_read_forwards(tokens):
    ssm = BidirectionalSSM(SIZES).double()
    there, back = ssm(*tokens), ssm(*tokens.flip(2))
    torch.testing.assert_close(back.flip(1), there, rtol=0, atol=1e-12)


def test_bidirectional_are_the_mean_of_one_scan_and_the_same_backwards(tokens):
    both, one = BidirectionalSSM(SIZES).double(), SelectiveSSM(SIZES).double()
    one.load_state_dict(both.state_dict())
    u, z = tokens
    expected = (one(u, z) + one(u.flip(1), z.flip(1)).flip(1)) / 2
    torch.testing.assert_close(both(u, z), expected, rtol=0, atol=1e-12)
    ungated = (one(u) + one(u.flip(1)).flip(1)) / 2
    torch.testing.assert_close(both(u), ungated, rtol=0, atol=1e-12)


def test_the_convolution_sees_a_neighbourhood_of_the_map_and_no_more(tokens):
    mixer = GatedConv(SIZES).double()
    u = torch.zeros(1, 20 * 30, 6, dtype=torch.float64, requires_grad=True)
    y = mixer(u, height=20)
    y[0, 10 * 30 + 15].sum().backward()  # the pixel in row 10, column 15
    rows, columns = u.grad.abs().sum(-1).view(20, 30).nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 13, 12, 18)
    gate = torch.randn(1, 600, 6, dtype=torch.float64)
    torch.testing.assert_close(mixer(u, gate, height=20), y * F.silu(gate))


def test_the_convolution_asks_for_the_height(tokens):
    with pytest.raises(ValueError, match="height"):
        GatedConv(SIZES).double()(*tokens)
    with pytest.raises(ValueError, match="height"):
        Mamba(MambaConfig(dim=6, mixer="convolution"))(torch.zeros(1, 12, 6))


def test_an_unknown_mixer_is_named():
    with pytest.raises(ValueError, match=r"mixer must be one of \('scan', .*\), found 'attention'"):
        MambaConfig(mixer="attention")


def test_mixers_have_as_many_parameters_or_nearly_so():
    published = MambaDFuseConfig.published()
    count = {
        mixer: MambaDFuse(replace(published, mixer=mixer)).parameter_count()
        for mixer in ("scan", "bidirectional", "convolution")
    }
    assert count["bidirectional"] == count["scan"]
    assert abs(count["convolution"] / count["scan"] - 1) < 0.05


@pytest.mark.parametrize("gate", ["own", "shared"])
@pytest.mark.parametrize("state_matrix", ["own", "shared"])
@pytest.mark.parametrize("mixer", ["bidirectional", "convolution"])
def test_every_weight_of_a_mixer_is_trained(mixer, gate, state_matrix):
    torch.manual_seed(0)
    model = MambaDFuse(replace(TINY, mixer=mixer, gate=gate, state_matrix=state_matrix))
    fused = model(*torch.rand(2, 1, 1, 9, 8))
    (fused**2).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_weights_from_before_there_were_mixers_are_read_as_scans(tmp_path):
    path = tmp_path / "w.safetensors"
    save(MambaDFuse(TINY), path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"])
    del config["mixer"]
    save_file(load_file(path), path, metadata | {"config": json.dumps(config)})
    assert load(path).config == TINY
