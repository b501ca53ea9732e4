"""Catalogue: every data set says where it comes from and on what terms, and its lists are sound."""

import re
from collections import Counter

import pytest

from mambadfuse.data.catalogue import describe, load, names
from mambadfuse.data.tasks import TASKS

COUNTS = {
    "roadscene": 164,
    "tno": 25,
    "ct-mri": 148,
    "pet-mri": 269,
    "spect-mri": 276,
    "msrs": 1444,
    "llvip": 15488,
}


@pytest.mark.parametrize("name", names())
def test_origin_terms_and_lists(name):
    dataset = load(name)
    assert dataset.origin.startswith("https://")
    assert dataset.terms
    assert dataset.size
    assert dataset.task in TASKS
    assert sum(dataset.pairs.values()) == COUNTS.get(name, sum(dataset.pairs.values()))
    assert len({entry.name for entry in dataset.entries}) == len(dataset.entries), "a pair is in two splits"
    listed = Counter(entry.split for entry in dataset.entries)
    assert all(count == dataset.pairs[split] for split, count in listed.items())


@pytest.mark.parametrize("name", [name for name in names() if load(name).source])
def test_every_file_that_can_be_downloaded_has_its_own_checksum_and_a_fixed_commit(name):
    dataset = load(name)
    sums = [sha256 for entry in dataset.entries for sha256 in (entry.sha256_a, entry.sha256_b)]
    assert all(re.fullmatch(r"[0-9a-f]{64}", sha256 or "") for sha256 in sums)
    assert re.fullmatch(r"[0-9a-f]{40}", dataset.source.commit)
    assert all("{name}" in template for template in (dataset.source.a, dataset.source.b))
    assert dataset.split(next(iter(dataset.pairs)))


def test_the_published_test_pairs_of_roadscene_are_held_out_and_that_is_said():
    assert set(load("roadscene").pairs) == {"train", "val"}
    with pytest.raises(ValueError, match=r"no split 'test'.*train, val.*held out"):
        load("roadscene").split("test")


def test_description_of_all():
    lines = describe().splitlines()
    assert [line.split()[0] for line in lines[1:]] == names()
    assert "164 (train 144, val 20)" in describe()
    assert re.search(r"llvip .* by hand", describe())


@pytest.mark.parametrize("name", names())
def test_description_of_one(name):
    text, dataset = describe(name), load(name)
    assert dataset.origin in text
    assert dataset.terms in text
    assert ("SHA-256" in text) == (dataset.source is not None)
    assert (f"data check FOLDER --as {name}" in text) == (dataset.source is None)


def test_an_unknown_name():
    with pytest.raises(ValueError, match="unknown data set 'coco': choose one of roadscene"):
        describe("coco")
