"""Paired crops: same window and turn for both, the same items whatever the workers, memory within its bound."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mambadfuse.data.crops import orient
from mambadfuse.data.dataset import PairedCrops, PictureCache
from mambadfuse.data.layouts import find_sets

SIZES = [(20, 24), (16, 16), (19, 31), (40, 17), (22, 22)]


@pytest.fixture
def sets(tmp_path):
    """Five pairs of noise; side b is the negative of side a, so that every crop shows whether both moved alike."""
    rng = np.random.default_rng(0)
    for folder in ("train/ir", "train/vi"):
        (tmp_path / folder).mkdir(parents=True)
    for i, size in enumerate(SIZES):
        pixels = rng.integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "train" / "ir" / f"{i}.png")
        Image.fromarray(255 - pixels).save(tmp_path / "train" / "vi" / f"{i}.bmp")
    return find_sets(tmp_path)


def epoch_of(crops, epoch, workers=0):
    crops.set_epoch(epoch)
    return [torch.stack(batch) for batch in DataLoader(crops, batch_size=2, num_workers=workers)]


def test_items_are_crops_of_their_pair_turned_alike(sets):
    crops = PairedCrops(sets, size=16)
    assert len(crops) == len(SIZES)
    for i, pair in enumerate(crops.pairs):
        a, b = crops[i]
        assert a.shape == b.shape == (1, 16, 16)
        assert a.dtype == torch.float32
        torch.testing.assert_close(a + b, torch.ones_like(a))
        whole = np.asarray(Image.open(pair.a))
        windows = np.lib.stride_tricks.sliding_window_view(whole, (16, 16)).reshape(-1, 16, 16)
        crop = np.rint(a[0].numpy() * 255).astype(np.uint8)
        assert any(
            (np.stack([orient(w, mode) for w in windows]) == crop).all((1, 2)).any() for mode in range(8)
        )


def test_every_window_and_every_turn_occurs(sets):
    crops = PairedCrops(sets, size=16)
    seen = set()
    for epoch in range(200):
        crops.set_epoch(epoch)
        seen.add(crops[1][0].numpy().tobytes())  # 16x16: one window, eight turns
    assert len(seen) == 8
    seen = set()
    for epoch in range(300):
        crops.set_epoch(epoch)
        seen.add(crops[3][0].numpy().tobytes())  # 40x17: 25 times 2 windows, eight turns
    assert len(seen) > 200


def test_workers_change_nothing(sets):
    crops = PairedCrops(sets, size=16, seed=5)
    alone, shared = epoch_of(crops, 3), epoch_of(crops, 3, workers=2)
    assert len(alone) == len(shared) == 3
    for x, y in zip(alone, shared, strict=True):
        assert torch.equal(x, y)


def test_epochs_and_seeds_differ_also_with_workers_that_live_on(sets):
    crops = PairedCrops(sets, size=16)
    loader = DataLoader(crops, batch_size=5, num_workers=1, persistent_workers=True)
    epochs = []
    for epoch in (0, 1, 0):
        crops.set_epoch(epoch)
        ((a, _),) = loader
        epochs.append(a)
    assert torch.equal(epochs[0], epochs[2])
    assert not torch.equal(epochs[0], epochs[1])
    ((other_seed, _),) = DataLoader(PairedCrops(sets, size=16, seed=1), batch_size=5)
    assert not torch.equal(epochs[0], other_seed)


def test_a_cache_too_small_for_any_picture_gives_the_same_items(sets):
    roomy, tight = PairedCrops(sets, size=16), PairedCrops(sets, size=16, cache_bytes=10)
    for _ in range(2):
        for i in range(len(SIZES)):
            assert torch.equal(torch.stack(roomy[i]), torch.stack(tight[i]))


def test_the_cache_keeps_within_its_bound_and_forgets_the_least_recently_used():
    read = []

    def picture(path):
        read.append(path)
        return np.zeros((10, 10), np.uint8)

    cache = PictureCache(250)
    for path in "aabacab":
        assert cache.get(path, picture).shape == (10, 10)
        assert cache.used <= 250
    assert read == ["a", "b", "c", "b"]
    assert PictureCache(99).get("large", picture).size == 100


def test_a_picture_smaller_than_the_crop_is_named_at_once(sets):
    with pytest.raises(ValueError, match=r"1\.png: is 16x16, smaller than a crop of 17x17"):
        PairedCrops(sets, size=17)


def test_pairs_of_two_sizes_are_named_at_once(sets):
    path = sets[0].matching.pairs[2].b
    Image.new("L", (31, 20)).save(path)
    with pytest.raises(ValueError, match=r"2\.png: is 31x19, but its partner .*2\.bmp is 31x20"):
        PairedCrops(sets, size=16)


@pytest.mark.parametrize(("limited", "expanded"), [(None, True), (True, True), (False, False)])
def test_limited_range_luma_is_expanded_where_recognised_or_declared(tmp_path, limited, expanded):
    for folder in ("IR", "VI_Y"):
        (tmp_path / folder).mkdir()
        ramp = np.linspace(16, 235, 64).reshape(8, 8).round().astype(np.uint8)
        Image.fromarray(ramp).save(tmp_path / folder / "1.png")
    a, b = PairedCrops(find_sets(tmp_path), size=8, limited=limited)[0]
    assert (float(a.min()), float(a.max())) == pytest.approx((16 / 255, 235 / 255))
    assert (float(b.min()), float(b.max())) == pytest.approx((0, 1) if expanded else (16 / 255, 235 / 255))
