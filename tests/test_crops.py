"""Crops for training: both sides alike, a function of seed and step alone, memory within its bound."""

import re
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader
from training_cases import toy_pairs, write_folders

from mambadfuse.data.crops import PairedCrops, PictureCache, StepSampler, orient
from mambadfuse.data.training_pairs import ArrayPair, find_training_pairs
from mambadfuse.training import TrainingConfig
from mambadfuse.training.step import crops_for

GOLDEN = np.load(Path(__file__).parent / "golden" / "pipeline.npz")
SIZES = [(20, 24), (16, 16), (19, 31), (40, 17), (22, 22)]


def noise_pairs(sizes=SIZES, seed=0):
    """Noise; side b is the negative of side a, so that every crop shows whether both moved alike."""
    rng = np.random.default_rng(seed)
    pictures = [rng.integers(0, 256, size, dtype=np.uint8) for size in sizes]
    return [ArrayPair(str(i), p, 255 - p) for i, p in enumerate(pictures)]


def crops_of(*sets, sampling_weights=None, crop_sizes=((16, 16),), batch=4, **settings):
    return PairedCrops(
        sets or [noise_pairs()], sampling_weights, crop_sizes=crop_sizes, batch=batch, **settings
    )


def batch_of(crops, step, **settings):
    sampler = StepSampler(crops.batch, range(step, step + 1))
    (batch,) = DataLoader(crops, batch_sampler=sampler, **settings)
    return batch


def test_orientations_are_the_eight_symmetries():
    x = np.arange(9, dtype=np.uint8).reshape(3, 3)
    assert len({orient(x, mode).tobytes() for mode in range(8)}) == 8
    assert np.array_equal(orient(x, 0), x)
    assert np.array_equal(orient(x, 1), x.T)


@pytest.mark.parametrize("mode", range(8))
def test_orientations_are_numbered_as_published(mode):
    assert np.array_equal(orient(GOLDEN["augment_input"], mode), GOLDEN[f"augment_mode{mode}"])


def test_crops_are_cut_and_oriented_alike_on_both_sides():
    pairs = noise_pairs()
    crops = crops_of(pairs)
    for number in range(12):
        a, b, name = crops[number]
        assert a.shape == b.shape == (1, 16, 16)
        assert a.dtype == torch.float32
        torch.testing.assert_close(a + b, torch.ones_like(a))
        whole = pairs[int(name)].a
        windows = np.lib.stride_tricks.sliding_window_view(whole, (16, 16)).reshape(-1, 16, 16)
        crop = np.rint(a[0].numpy() * 255).astype(np.uint8)
        turned = (np.stack([orient(w, mode) for w in windows]) for mode in range(8))
        assert any((each == crop).all((1, 2)).any() for each in turned)


def test_every_pair_every_window_and_every_turn_occurs():
    seen = {(crop.name, crop.a.numpy().tobytes()) for crop in map(crops_of().__getitem__, range(2500))}
    by_name = {name: {pixels for n, pixels in seen if n == name} for name, _ in seen}
    assert set(by_name) == {"0", "1", "2", "3", "4"}
    assert len(by_name["1"]) == 8  # 16x16: one window, eight turns
    assert len(by_name["3"]) > 200  # 40x17: 25 times 2 windows, eight turns


def test_all_crops_of_a_step_have_one_size_and_long_rows_stay_rows():
    crops = crops_of(crop_sizes=((16, 16), (8, 20)))
    sizes = {tuple(batch_of(crops, step).a.shape) for step in range(20)}
    assert sizes == {(4, 1, 16, 16), (4, 1, 8, 20)}


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(0, 10**9))
def test_a_crop_depends_on_seed_step_and_slot_alone(seed, step):
    one, other = crops_of(seed=seed), crops_of(seed=seed)
    other[5]  # what was drawn before changes nothing
    assert torch.equal(one[4 * step + 3].a, other[4 * step + 3].a)


def test_seeds_steps_and_slots_differ():
    crops, other = crops_of(), crops_of(seed=1)
    drawn = [crops[number].a.numpy().tobytes() for number in range(50)]
    assert len(set(drawn)) > 40
    assert drawn != [other[number].a.numpy().tobytes() for number in range(50)]


def test_workers_change_nothing():
    crops = crops_of()
    alone, shared = batch_of(crops, 7), batch_of(crops, 7, num_workers=2)
    assert torch.equal(alone.a, shared.a)
    assert torch.equal(alone.b, shared.b)
    assert list(alone.name) == list(shared.name) == crops.names(7)


@pytest.mark.parametrize(("parts", "processes"), [(1, 1), (3, 1), (1, 4), (3, 2), (2, 3)])
def test_parts_and_processes_share_a_batch_without_rest(parts, processes):
    def own(process, processes):
        return list(StepSampler(12, range(5, 7), parts, process, processes))

    shares = [own(process, processes) for process in range(processes)]
    together = [list(chain(*lists)) for lists in zip(*shares, strict=True)]
    assert together == own(0, 1)  # the same parts, whatever the number of processes
    assert list(chain(*together)) == list(range(5 * 12, 7 * 12))


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(
        ValueError, match="batch of 12 cannot be shared evenly: accumulate is 2, processes are 5"
    ):
        StepSampler(12, range(1), 2, 0, 5)


def test_sets_are_drawn_by_their_sampling_weights():
    few = [ArrayPair("few", *pair.pictures()) for pair in noise_pairs([(16, 16)])]
    names = [
        crop.name
        for crop in map(crops_of(noise_pairs(), few, sampling_weights=[9, 1]).__getitem__, range(2000))
    ]
    assert 120 < names.count("few") < 280
    alike = [crop.name for crop in map(crops_of(noise_pairs(), few).__getitem__, range(2000))]
    assert 850 < alike.count("few") < 1150


@pytest.mark.parametrize("weights", [[0.0], [-1.0], [1.0, 1.0], [float("nan")], [float("inf")]])
def test_impossible_sampling_weights_are_refused(weights):
    with pytest.raises(ValueError, match="positive sampling weight"):
        crops_of(sampling_weights=weights)
    said = re.escape(
        f"expected a positive sampling weight for each of 1 sets, of finite sum, found {weights}"
    )
    for scenes in (0.0, 0.2):
        with pytest.raises(ValueError, match=said):
            crops_for(TrainingConfig(scenes=scenes), [noise_pairs()], weights)


@pytest.mark.parametrize("scenes", [0.0, 0.2])
def test_no_pairs_at_all_are_refused(scenes):
    with pytest.raises(ValueError, match="for each of 0 sets"):
        crops_for(TrainingConfig(scenes=scenes), [])


def test_small_pictures_are_passed_over():
    crops = crops_of([*noise_pairs([(4, 4), (16, 9)]), *noise_pairs([(17, 17)])])
    assert {crops[number].name for number in range(30)} == {"0"}
    assert crops[0].a.shape == (1, 16, 16)


def test_crops_larger_than_every_picture_of_a_set_are_named_at_once():
    with pytest.raises(
        ValueError, match=r"none of 5 pairs \(0 and 4 more\) is as large as a crop of 64 x 16"
    ):
        crops_of(crop_sizes=((16, 16), (64, 16)))


def test_the_fingerprint_tells_pairs_apart():
    pairs = noise_pairs()
    swapped = [ArrayPair(p.name, p.b, p.a) for p in pairs]
    renamed = [ArrayPair("x" + p.name, p.a, p.b) for p in pairs]
    words = {crops_of(each).fingerprint() for each in (pairs, swapped, renamed, pairs[::-1], pairs[1:])}
    assert len(words) == 5
    assert crops_of(pairs).fingerprint() == crops_of(noise_pairs()).fingerprint()


def test_a_cache_too_small_for_any_picture_gives_the_same_crops():
    roomy, tight = crops_of(), crops_of(cache_bytes=10)
    for number in range(20):
        assert torch.equal(roomy[number].a, tight[number].a)


def test_the_cache_keeps_within_its_bound_and_forgets_the_least_recently_used():
    read = []

    def pictures(key):
        read.append(key)
        return np.zeros((5, 10), np.uint8), np.zeros((5, 10), np.uint8)

    cache = PictureCache(250)
    for key in "aabacab":
        assert len(cache.get(key, lambda key=key: pictures(key))) == 2
        assert cache.used <= 250
    assert read == ["a", "b", "c", "b"]
    assert PictureCache(99).get("large", lambda: pictures("large"))[0].size == 50


def test_folders_are_read_as_grey(tmp_path):
    for folder, mode in (("a", "L"), ("b", "RGB")):
        (tmp_path / folder).mkdir()
        Image.new(mode, (5, 4), 50 if mode == "L" else (255, 0, 0)).save(tmp_path / folder / "x.png")
    (pair,) = find_training_pairs(tmp_path / "a", tmp_path / "b")
    a, b = pair.pictures()
    assert a.shape == b.shape == pair.shape == (4, 5)
    assert (a[0, 0], b[0, 0]) == (50, 76)  # 0.299 * 255


def test_one_folder_with_both_sides_is_never_paired_with_itself(tmp_path):
    for k in (1, 2, 3):
        Image.new("L", (5, 4), 10 * k).save(tmp_path / f"IR{k}.png")
        Image.new("L", (5, 4), 100 + k).save(tmp_path / f"VIS{k}.png")
    pairs = find_training_pairs(tmp_path, tmp_path)
    assert [(pair.name, pair.a.name, pair.b.name) for pair in pairs] == [
        (f"IR{k}", f"IR{k}.png", f"VIS{k}.png") for k in (1, 2, 3)
    ]
    assert pairs == find_training_pairs(tmp_path)


def test_limited_range_is_recognised_below_one_folder(tmp_path):
    for folder in ("IR", "VI_Y"):
        (tmp_path / "root" / folder).mkdir(parents=True)
        ramp = np.linspace(16, 235, 64).reshape(8, 8).round().astype(np.uint8)
        Image.fromarray(ramp).save(tmp_path / "root" / folder / "1.png")
    (pair,) = find_training_pairs(tmp_path / "root")
    assert pair.limited


def test_files_and_arrays_give_the_same_crops(tmp_path):
    pairs = toy_pairs()
    files = find_training_pairs(*write_folders(tmp_path, pairs))
    for number in range(10):
        assert torch.equal(crops_of(pairs)[number].b, crops_of(files)[number].b)


def test_a_file_that_changed_changes_the_fingerprint(tmp_path):
    folders = write_folders(tmp_path, toy_pairs())
    before = crops_of(find_training_pairs(*folders)).fingerprint()
    assert crops_of(find_training_pairs(*folders)).fingerprint() == before
    Image.new("L", (34, 20)).save(tmp_path / "b" / "toy_1.png")
    assert crops_of(find_training_pairs(*folders)).fingerprint() != before


def test_pictures_without_a_partner_are_named(tmp_path, caplog):
    folders = write_folders(tmp_path, toy_pairs())
    (tmp_path / "b" / "toy_1.png").unlink()
    assert [pair.name for pair in find_training_pairs(*folders)] == ["toy_0", "toy_2"]
    assert f"skipped {tmp_path / 'a' / 'toy_1.png'}: has no partner" in caplog.text


def test_pairs_of_two_sizes_are_named_at_once(tmp_path):
    folders = write_folders(tmp_path, toy_pairs())
    Image.new("L", (31, 20)).save(tmp_path / "b" / "toy_2.png")
    with pytest.raises(ValueError, match=r"toy_2\.png: is 34x20, but its partner .*toy_2\.png is 31x20"):
        find_training_pairs(*folders)
    with pytest.raises(ValueError, match="odd: side b must be uint8"):
        ArrayPair("odd", np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))


@pytest.mark.parametrize(("limited", "expanded"), [(None, True), (True, True), (False, False)])
def test_limited_range_luma_is_expanded_where_recognised_or_declared(tmp_path, limited, expanded):
    for folder in ("IR", "VI_Y"):
        (tmp_path / folder).mkdir()
        ramp = np.linspace(16, 235, 64).reshape(8, 8).round().astype(np.uint8)
        Image.fromarray(ramp).save(tmp_path / folder / "1.png")
    (pair,) = find_training_pairs(tmp_path / "IR", tmp_path / "VI_Y", limited)
    a, b = pair.pictures()
    assert (a.min(), a.max()) == (16, 235)
    assert (b.min(), b.max()) == ((0, 255) if expanded else (16, 235))
    (other,) = find_training_pairs(tmp_path / "IR", tmp_path / "VI_Y", not expanded)
    assert pair.digest() != other.digest()  # other pixels are another run
