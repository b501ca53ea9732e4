"""What TensorBoard is given: a run for each row and seed, with the settings that differ."""

import struct
from dataclasses import replace

import pytest
from tensorboardX.proto.event_pb2 import Event
from test_ablation_store import RESULT

from mambadfuse import cli
from mambadfuse.ablation import SHIPPED_RESULTS, Store
from mambadfuse.ablation.tensorboard import write_tensorboard

CURVE = [[1, 3.0], [2, 2.5]]
RESULTS = [
    replace(RESULT, row=row, seed=seed, curve=CURVE, config={"gate": gate, "seed": seed, "steps": 2})
    for row, gate in (("default", "own"), ("shared", "shared"))
    for seed in range(2)
]


def events(folder):
    """All events in the files of a folder: each is its length, a checksum, the event, and another checksum."""
    for path in sorted(folder.glob("events*")):
        data = path.read_bytes()
        while data:
            [length] = struct.unpack("<Q", data[:8])
            yield Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def values(folder):
    return [value for event in events(folder) for value in event.summary.value]


def test_every_run_has_its_curve_its_scores_and_what_differs(tmp_path):
    write_tensorboard(RESULTS, tmp_path / "board")
    runs = sorted(path.name for path in (tmp_path / "board").iterdir() if path.is_dir())
    assert runs == ["default-0", "default-1", "shared-0", "shared-1"]
    found = values(tmp_path / "board" / "shared-1")
    assert [value.simple_value for value in found if value.tag == "loss"] == [3.0, 2.5]
    assert [value.simple_value for value in found if value.tag == "validation/EN"] == [7.0]
    [start] = [value for value in found if value.tag == "_hparams_/session_start_info"]
    for word in (b"gate", b"shared", b"row", b"seed"):
        assert word in start.metadata.plugin_data.content
    assert b"steps" not in start.metadata.plugin_data.content


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "board").mkdir()
    with pytest.raises(ValueError, match="exists already"):
        write_tensorboard(RESULTS, tmp_path / "board")


def test_the_report_writes_it(tmp_path):
    board = tmp_path / "board"
    report = ["ablate", "--report", "shipped", "--rows", "gate-shared", "--tensorboard", str(board)]
    assert cli.main(report) == 0
    runs = [result for result in Store(SHIPPED_RESULTS).results() if result.row in ("default", "gate-shared")]
    assert len([path for path in board.iterdir() if path.is_dir()]) == len(runs)
