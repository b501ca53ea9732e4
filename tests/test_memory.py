"""The memory of a pass: estimated as it is measured, and never more than there is."""

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import mambadfuse as mdf
from mambadfuse.fusion import memory
from mambadfuse.fusion.memory import free_memory, pass_memory, within_memory
from mambadfuse.fusion.tiling import TiledModel

TINY = mdf.MambaDFuseConfig(
    dim=16, state=4, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
)
linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="reads the peak as Linux counts it"
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return mdf.MambaDFuse(TINY).eval()


def with_free(monkeypatch, count):
    monkeypatch.setattr(memory, "free_memory", lambda: count)


def test_what_fits_is_fused_in_one_piece(network, monkeypatch):
    need = pass_memory(TINY, 300, 400)
    with_free(monkeypatch, need)
    assert within_memory(network, 300, 400) is network
    with_free(monkeypatch, None)
    assert within_memory(network, 10**6, 10**6) is network


def test_what_does_not_fit_is_fused_in_the_largest_tiles_that_do(network, monkeypatch, caplog):
    height, width = 1500, 2000
    image = pass_memory(TINY, height, width) - pass_memory(TINY, 0, 0)
    for side in (1024, 512, 256, 128):
        tiled = image * side**2 // (height * width) + 60 * height * width
        with_free(monkeypatch, tiled)
        found = within_memory(network, height, width)
        assert isinstance(found, TiledModel)
        assert found.network is network
        assert found.size == side
        assert f"2000x1500 in one piece takes about {image / 1e9:.1f} GB" in caplog.text
        assert f"in tiles of {side} pixels" in caplog.text
        assert "--tile" in caplog.text


def test_what_does_not_even_fit_in_tiles_is_refused(network, monkeypatch):
    with_free(monkeypatch, 10**6)
    with pytest.raises(
        MemoryError, match=r"fusing 2000x1500 takes about 0\.2 GB even in tiles of 128.*--tile"
    ):
        within_memory(network, 1500, 2000)
    with pytest.raises(
        MemoryError, match=r"in tiles of 512 pixels takes about .* 0\.0 GB are free: .*--tile"
    ):
        within_memory(TiledModel(network, 512), 1500, 2000)


def test_chosen_tiles_and_modules_of_others_stay_as_they_are(network, monkeypatch):
    tiled = TiledModel(network, 128)
    with_free(monkeypatch, pass_memory(TINY, 128, 128) + 60 * 500 * 500)
    assert within_memory(tiled, 500, 500) is tiled
    with_free(monkeypatch, 0)
    other = nn.Conv2d(1, 1, 3)
    assert within_memory(other, 500, 500) is other


def test_a_batch_needs_as_much_as_its_pairs():
    assert pass_memory(TINY, 30, 40, batch=3) == 3 * pass_memory(TINY, 30, 40)


def test_fuse_works_in_tiles_and_says_so(network, monkeypatch, caplog):
    a, b = np.random.default_rng(0).random((2, 150, 200), np.float32)
    whole = mdf.fuse(a, b, network)
    tiled = mdf.fuse(a, b, TiledModel(network, 128, 64))
    with_free(monkeypatch, pass_memory(TINY, 150, 200) - 1)
    assert np.array_equal(mdf.fuse(a, b, network), tiled)
    assert not np.array_equal(whole, tiled)
    assert "tiles of 128 pixels" in caplog.text


def test_a_file_that_is_too_large_is_refused_before_it_is_read(network, monkeypatch, tmp_path):
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    for path, side in ((small, 40), (large, 400)):
        Image.new("L", (side, side)).save(path)
    with_free(monkeypatch, 60 * 399 * 400)
    for pair in ((small, large), (large, small)):
        with pytest.raises(MemoryError, match=r"large\.png: fusing 400x400 takes at least 0\.0 GB"):
            mdf.fuse(*pair, network)


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("kind", ["array", "colour", "tensor", "batch"])
def test_an_array_that_is_too_large_is_refused_before_it_is_copied(network, monkeypatch, side, kind):
    """A view of one pixel holds no memory, whatever its size."""
    with_free(monkeypatch, 10**9)
    huge = {
        "array": np.broadcast_to(np.uint8(7), (10**6, 10**6)),
        "colour": np.broadcast_to(np.uint8(7), (10**6, 10**6, 3)),
        "tensor": torch.zeros(1, 1).expand(10**6, 10**6),
        "batch": torch.zeros(1, 1, 1, 1).expand(10**6, 1, 1000, 1000),
    }[kind]
    small = np.zeros((4, 4), np.uint8)
    pair = (huge, small) if side == "a" else (small, huge)
    with pytest.raises(MemoryError, match=rf"^{side}: fusing .*1000x1000|^{side}: fusing 1000000x1000000"):
        mdf.fuse(*pair, network)


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"memory.max": "1000", "memory.current": "700", "memory.stat": "anon 5\ninactive_file 50\n"}, 350),
        ({"memory.max": "max", "memory.current": "700", "memory.stat": ""}, None),
        (
            {
                "memory/memory.limit_in_bytes": "1000",
                "memory/memory.usage_in_bytes": "1200",
                "memory/memory.stat": "inactive_file 0\n",
            },
            0,
        ),
        ({}, None),
    ],
)
def test_the_limit_of_a_container_counts(tmp_path, monkeypatch, files, left):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_available", lambda: 10**15)
    monkeypatch.setattr(memory, "_left_of_address_space", lambda: None)
    assert free_memory() == (10**15 if left is None else left)


def test_the_limits_on_the_groups_around_a_process_count(tmp_path, monkeypatch):
    """A batch system limits a job, and what it starts lies in a group below that of the job."""
    for group, limit in (("", "max"), ("job", "1000"), ("job/step", "5000"), ("memory/job", "900")):
        (tmp_path / group).mkdir(parents=True, exist_ok=True)
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes")
            if "memory" in group
            else ("memory.max", "memory.current")
        )
        for name, text in zip((*names, "memory.stat"), (limit, "100", ""), strict=True):
            (tmp_path / group / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_available", lambda: 10**15)
    monkeypatch.setattr(memory, "_left_of_address_space", lambda: None)
    for own, left in (
        ("0::/", 10**15),
        ("0::/job/step", 900),
        ("4:cpu,memory:/job/deeper\n0::/", 800),
        ("0::/elsewhere", 10**15),
        ("", 10**15),
    ):
        (tmp_path / "own").write_text(f"{own}\n" if own else "")
        assert free_memory() == left


def run(program: str, *arguments: str, limit: int = 0) -> subprocess.CompletedProcess[str]:
    """A child process, under a limit of its address space in bytes if one is given."""
    lines = [f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))"] if limit else []
    code = "\n".join([*lines, textwrap.dedent(program)])
    command = [sys.executable, "-c", code, *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=600, env=environment, check=False
    )


PEAKS = """
    import sys, json, torch, mambadfuse as mdf
    from pathlib import Path
    def bytes_of(name):
        line, = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
        return 1024 * int(line.split()[1])
    torch.set_num_threads(1)
    network = mdf.MambaDFuse(mdf.MambaDFuseConfig(**json.loads(sys.argv[1]))).eval()
    height, width = 512, 448
    a, b = torch.rand(2, height, width).numpy()
    mdf.fuse(a[:40, :40], b[:40, :40], network)
    before = bytes_of("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    mdf.fuse(a, b, network)
    print(bytes_of("VmHWM") - before)
"""


@linux
@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{"dim": 32}, {"dim": 64}, {"dim": 32, "expand": 4}, {"mixer": "bidirectional"}, {"gate": "shared"}],
    ids=str,
)
def test_the_estimate_is_within_half_of_what_is_measured(changes):
    import json

    config = replace(TINY, **changes)
    done = run(PEAKS, json.dumps(config.to_dict()))
    assert done.returncode == 0, done.stderr
    ratio = pass_memory(config, 512, 448) / int(done.stdout)
    assert 1 / 1.5 < ratio < 1.5


LARGE = """
    import resource, sys, numpy, torch, mambadfuse as mdf
    torch.set_num_threads(1)
    network = mdf.MambaDFuse(mdf.MambaDFuseConfig(dim=16, state=2, extraction_depth=1, exchange_depth=0, deep_depth=0,
                                                  reconstruction_depth=0)).eval()
    a, b = numpy.random.default_rng(0).integers(0, 256, (2, 1000, 1200, 3), dtype=numpy.uint8)
    mdf.fuse(a[:40, :40], b[:40, :40], network)
    used = 4096 * int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]),) * 2)
    print(mdf.fuse(a, b, network).shape)
"""


@linux
@pytest.mark.slow
def test_an_image_that_does_not_fit_under_a_limit_is_fused_all_the_same():
    """A tenth of 12 megapixels in a tenth of 2 GB, beside what the process holds before."""
    done = run(LARGE, str(200 * 10**6))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(1000, 1200, 3)\n"
    assert "1200x1000 in one piece takes about 1.1 GB" in done.stderr
    refused = run(LARGE, str(50 * 10**6))
    assert "MemoryError: fusing 1200x1000 takes about" in refused.stderr
