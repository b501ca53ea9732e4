"""The step from what a network returns to the image: clamped, its contrast raised about its own mean."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import mambadfuse as mdf
from mambadfuse.data.images import write_image
from mambadfuse.fusion.folders import fuse_folders
from mambadfuse.fusion.postprocess import postprocess
from mambadfuse.fusion.tiling import TiledModel

DARK, BRIGHT = 0.4 * torch.rand(2, 1, 1, 12, 16, generator=torch.Generator().manual_seed(0)) + torch.tensor(
    [0.2, 0.4]
).reshape(2, 1, 1, 1, 1)


class First(nn.Module):
    """Returns the first image, and asks for a contrast."""

    contrast = 1.5

    def forward(self, a, b):
        return a


def test_without_contrast_a_picture_is_only_clamped():
    wild = torch.linspace(-1, 2, 12).reshape(1, 1, 3, 4)
    assert torch.equal(postprocess(wild), wild.clamp(0, 1))


@given(contrast=st.floats(0.2, 5.0))
def test_contrast_is_a_curve_through_black_the_mean_and_white(contrast):
    ramp = torch.linspace(0, 1, 1001, dtype=torch.float64).reshape(1, 1, 1, -1)
    curve = postprocess(ramp, contrast).flatten()
    assert curve[0].item() == pytest.approx(0, abs=1e-12)
    assert curve[500].item() == pytest.approx(0.5)
    assert curve[1000].item() == pytest.approx(1)
    assert (curve.diff() > 0).all()  # no two levels become one
    slope = (curve[501] - curve[499]) / 0.002
    assert slope.item() == pytest.approx(contrast, rel=0.02)
    assert ((curve[1000] - curve[999]) / 0.001).item() == pytest.approx(1 / contrast, rel=0.02)


@given(contrast=st.floats(1.01, 2.0))
def test_a_higher_contrast_saturates_nothing(contrast):
    image = torch.cat([DARK, BRIGHT]).double()
    stretched = postprocess(image, contrast)
    assert (stretched.std(dim=(1, 2, 3)) > image.std(dim=(1, 2, 3))).all()
    assert stretched.max() < 1
    assert stretched.min() > 0


@given(contrast=st.floats(0.5, 2.0), level=st.sampled_from([0.0, 0.3, 1.0]))
def test_a_constant_image_stays_as_it_is(contrast, level):
    constant = torch.full((1, 1, 3, 4), level, dtype=torch.float64)
    torch.testing.assert_close(postprocess(constant, contrast), constant)


def test_each_picture_of_a_batch_has_its_own_mean_and_stays_in_range():
    both = postprocess(torch.cat([DARK, BRIGHT]), 5.0)
    torch.testing.assert_close(both[:1], postprocess(DARK, 5.0))
    torch.testing.assert_close(both[1:], postprocess(BRIGHT, 5.0))
    assert 0 <= both.min() < both.max() <= 1


def test_fuse_takes_the_contrast_of_the_network_unless_told_another():
    a, b = DARK[0, 0].numpy(), BRIGHT[0, 0].numpy()
    for asked, used in ((None, 1.5), (1.0, 1.0), (1.2, 1.2)):
        expected = np.rint(255 * postprocess(DARK, used)[0, 0].numpy())
        np.testing.assert_array_equal(mdf.fuse(a, b, First(), contrast=asked), expected)


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf"), 10**39, "abc", True])
def test_what_is_no_contrast_is_refused_at_once(wrong, tmp_path):
    picture = DARK[0, 0].numpy()
    with pytest.raises(ValueError, match=f"contrast must be a positive number, found {wrong!r}"):
        mdf.fuse(picture, picture, First(), contrast=wrong)
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        write_image(tmp_path / side / "1.png", np.full((4, 5), 9, np.uint8))
    with pytest.raises(ValueError, match="contrast must be a positive number"):
        fuse_folders(tmp_path / "a", tmp_path / "b", tmp_path / "out", First(), contrast=wrong)
    assert not (tmp_path / "out").exists()


def test_in_tiles_the_contrast_is_still_that_of_the_whole_picture():
    a, b = DARK[0, 0].numpy(), BRIGHT[0, 0].numpy()
    np.testing.assert_array_equal(mdf.fuse(a, b, TiledModel(First(), 8, 2)), mdf.fuse(a, b, First()))


def test_the_contrast_is_kept_with_the_weights(tmp_path):
    small = mdf.MambaDFuseConfig(
        dim=8, state=4, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
    )
    network = mdf.MambaDFuse(small).eval()
    network.contrast = 1.3
    mdf.save(network, tmp_path / "weights.safetensors")
    loaded = mdf.load(tmp_path / "weights.safetensors")
    assert loaded.contrast == 1.3
    with torch.no_grad():
        assert torch.equal(loaded(DARK, BRIGHT), network(DARK, BRIGHT))
    network.contrast = 0
    with pytest.raises(ValueError, match="contrast must be a positive number, found 0"):
        mdf.save(network, tmp_path / "other.safetensors")
    assert not (tmp_path / "other.safetensors").exists()
