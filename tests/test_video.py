"""Video: frames in and out, rates and lengths that differ, flicker, interruption, and what cannot be read."""

import errno
import signal
import sys
from contextlib import nullcontext
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import mambadfuse as mdf
from mambadfuse import cli
from mambadfuse.data import video
from mambadfuse.data.reading import PairReading
from mambadfuse.data.video import VideoError, VideoWriter, open_video
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.pair import fuse_with
from mambadfuse.fusion.video import fuse_video
from mambadfuse.models.config import FastFusionConfig
from mambadfuse.models.fast import FastFusion

SIZE = (48, 64)


class Mean(nn.Module):
    def forward(self, a, b):
        return (a + b) / 2


def write(path, levels, rate=10, size=SIZE, colour=False):
    """A video whose frames have these grey levels; a gradient makes them look like pictures."""
    gradient = np.linspace(-20, 20, size[1])[None] + np.zeros((size[0], 1))
    with path.open("wb") as file, VideoWriter(file, path.suffix, Fraction(rate)) as writer:
        for level in levels:
            grey = np.uint8(np.clip(level + gradient, 0, 255))
            writer.write(np.stack([grey, grey, 255 - grey], axis=2) if colour else grey)
    return path


def levels(path):
    """The mean level of each frame."""
    with open_video(path) as opened:
        return [float(frame.mean()) for _, frame in opened.frames]


def folder(path, frames):
    path.mkdir()
    for name, frame in frames.items():
        Image.fromarray(frame).save(path / name)
    return path


def test_frames_survive_their_file(tmp_path):
    path = write(tmp_path / "a.mp4", [60, 120, 180], rate=Fraction(30000, 1001))
    assert levels(path) == pytest.approx([60, 120, 180], abs=2)
    with open_video(path) as opened:
        assert (opened.rate, opened.count) == (Fraction(30000, 1001), 3)


@pytest.mark.parametrize("suffix", video.CONTAINERS)
def test_every_container_is_read_back(tmp_path, suffix):
    assert levels(write(tmp_path / f"a{suffix}", [90, 150])) == pytest.approx([90, 150], abs=2)


def test_odd_sides_are_made_even(tmp_path):
    with open_video(write(tmp_path / "a.mp4", [90], size=(47, 63))) as opened:
        assert next(opened.frames)[1].shape == (48, 64, 3)


def test_a_fast_network_fuses_frames_as_it_does_for_videos(tmp_path):
    torch.manual_seed(0)
    network = FastFusion(FastFusionConfig(dim=4, depth=1)).eval()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    sides = [write(tmp_path / f"{side}.mp4", [level]) for side, level in (("a", 90), ("b", 130))]
    fuse_video(*sides, tmp_path / "out.mp4", network, progress=False)
    images = []
    for path in (*sides, tmp_path / "out.mp4"):
        with open_video(path) as opened:
            images.append(next(opened.frames)[1])
    a, b, written = images
    differences = [
        np.abs(mdf.fuse(a, b, net) - written[..., 0].astype(float)).mean()
        for net in (network.for_video(), network)
    ]
    assert differences[0] < 0.5 * differences[1]


def test_colours_survive_in_every_size_and_the_file_says_how_they_are_stored(tmp_path):
    """Players take larger videos for BT.709, smaller ones for BT.601, unless the file says which."""
    for size in (SIZE, (720, 1280)):
        path = write(tmp_path / f"{size[0]}.mp4", [90], size=size, colour=True)
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        assert frame.colorspace == 6, "BT.601"
        grey = 90 + np.linspace(-20, 20, size[1])
        with open_video(path) as opened:
            found = next(opened.frames)[1].mean(axis=0)
        np.testing.assert_allclose(found, np.stack([grey, grey, 255 - grey], axis=1), atol=6)


@pytest.mark.parametrize(("rows", "matrix"), [(48, "ITU601"), (720, "ITU709")])
def test_colours_of_a_video_that_does_not_say_are_those_of_players(tmp_path, rows, matrix):
    colour = np.uint8([200, 50, 0])
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, rows, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((rows, 64, 3), colour), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=matrix)))
        container.mux(stream.encode(None))
    with open_video(tmp_path / "a.mkv") as opened:
        np.testing.assert_allclose(next(opened.frames)[1].mean(axis=(0, 1)), colour, atol=3)


def test_two_videos_are_fused_frame_by_frame(tmp_path):
    a, b = write(tmp_path / "ir.mp4", [40, 80, 120]), write(tmp_path / "vi.mp4", [80, 120, 160], colour=True)
    report = fuse_video(a, b, tmp_path / "out.mp4", Mean(), progress=False)
    assert (report.frames, report.rate, report.notes, report.interrupted) == (3, 10, (), False)
    with open_video(tmp_path / "out.mp4") as opened:
        frames = [frame for _, frame in opened.frames]
    assert len(frames) == 3
    assert frames[0].mean() < frames[1].mean() < frames[2].mean()
    assert np.ptp(frames[1].mean(axis=(0, 1))) > 10  # the colour of the visible side


def test_the_slower_side_shows_each_frame_until_the_next(tmp_path):
    a, b = write(tmp_path / "ir.mp4", [40, 200], rate=5), write(tmp_path / "vi.mp4", [100] * 4, rate=10)
    report = fuse_video(a, b, tmp_path / "out.mp4", Mean(), progress=False)
    assert levels(tmp_path / "out.mp4") == pytest.approx([70, 70, 150, 150], abs=3)
    assert report.rate == 10
    assert "5 frames a second and" in report.notes[0]


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [(10, [0, 1, 2, 3]), (20, [0, 0, 1, 1, 2, 2, 3, 3]), (5, [0, 2]), (15, [0, 0, 1, 2, 2, 3])],
)
def test_frames_at_another_rate(rate, wanted):
    frames = ((i / 10, np.full((2, 2), i, np.uint8)) for i in range(4))
    shown = video.Video("four", frames, Fraction(10), 4).at(Fraction(rate))
    assert [int(frame[0, 0]) for frame in shown] == wanted


def test_frames_of_a_variable_rate_keep_their_times():
    times = [0, 0.1, 0.2, 0.6, 0.7]
    frames = ((time, np.full((2, 2), i, np.uint8)) for i, time in enumerate(times))
    shown = video.Video("five", frames, Fraction(10), 5).at(Fraction(10))
    assert [int(frame[0, 0]) for frame in shown] == [0, 1, 2, 2, 2, 2, 3, 4]


def test_times_are_read_from_the_file(tmp_path):
    path, times = tmp_path / "phone.mkv", [0, 1, 2, 7, 8]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_video(path) as opened:
        assert [time for time, _ in opened.frames] == pytest.approx([0, 0.1, 0.2, 0.7, 0.8], abs=0.002)


def test_the_result_ends_with_the_shorter_side(tmp_path):
    a, b = write(tmp_path / "ir.mp4", [40] * 9), write(tmp_path / "vi.mp4", [80] * 4)
    report = fuse_video(a, b, tmp_path / "out.mp4", Mean(), progress=False)
    assert report.frames == 4
    assert report.notes == (f"{a} lasts 0.9 s and {b} 0.4 s: the result ends with {b}",)


def test_lengths_that_differ_are_said_where_files_tell_their_duration_only(tmp_path):
    a, b = write(tmp_path / "ir.mkv", [40] * 9), write(tmp_path / "vi.mkv", [80] * 4)
    report = fuse_video(a, b, tmp_path / "out.mkv", Mean(), progress=False)
    assert report.notes == (f"{a} lasts 0.9 s and {b} 0.4 s: the result ends with {b}",)


@pytest.mark.parametrize("name", ["12:30.mp4", "ir-12:30:05.mp4", "夜 é.mp4", "a%03d.mp4", "\udcff.mp4"])
def test_a_video_of_any_name_is_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    try:
        write(tmp_path / "a.mp4", [90, 150]).rename(name)
    except OSError:
        pytest.skip("the file system has no such names")
    assert levels(name) == pytest.approx([90, 150], abs=2)


@pytest.mark.parametrize("suffix", video.CONTAINERS)
def test_a_title_in_any_encoding_is_no_obstacle(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Nachtaufnahme"
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8))))
        container.mux(stream.encode(None))
    assert b"Nachtaufnahme" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"Nachtaufnahme", "Nächtaufnahme".encode("latin-1")))
    assert levels(path) == pytest.approx([90], abs=2)


def test_grey_frames_of_sixteen_bits_keep_them(tmp_path):
    values = [29000, 31000]
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "gray16le"
        for value in values:
            frame = av.VideoFrame.from_ndarray(np.full(SIZE, value, np.uint16), format="gray16le")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert levels(tmp_path / "a.mkv") == values
    b = write(tmp_path / "b.mp4", [0, 0])
    options = FusionOptions(reading=PairReading.of((29000, 31000), None, None, "black"))
    fuse_video(tmp_path / "a.mkv", b, tmp_path / "out.mp4", Mean(), options=options, progress=False)
    dark, bright = levels(tmp_path / "out.mp4")
    assert bright - dark == pytest.approx(127.5, abs=3)


def test_folders_of_frames_are_read_in_the_order_of_their_numbers(tmp_path):
    frames = {f"frame_{i}.png": np.full(SIZE, 20 * i, np.uint8) for i in (1, 2, 10)}
    a, b = folder(tmp_path / "a", frames), folder(tmp_path / "b", frames)
    report = fuse_video(a, b, tmp_path / "out.mkv", Mean(), rate=Fraction(8), progress=False)
    assert levels(tmp_path / "out.mkv") == pytest.approx([20, 40, 200], abs=2)
    assert report.rate == 8


def test_what_systems_leave_in_a_folder_is_no_frame_and_names_decide_the_order(tmp_path):
    names = ["2.png", "01.png", "1.png", "²1.png"]
    path = folder(tmp_path / "a", {name: np.zeros(SIZE, np.uint8) for name in names})
    for hidden in ("._1.png", ".2.png"):
        (path / hidden).write_bytes(b"of the Finder")
    with open_video(path) as opened:
        assert [file.name for _, file in opened.frames] == ["01.png", "1.png", "2.png", "²1.png"]


def test_a_frame_of_another_size_is_named(tmp_path):
    frames = {"1.png": np.zeros(SIZE, np.uint8), "2.png": np.zeros((6, 8), np.uint8)}
    a, b = folder(tmp_path / "a", frames), folder(tmp_path / "b", frames)
    with pytest.raises(VideoError, match="frame 2 is 8x6, expected 64x48"):
        fuse_video(a, b, tmp_path / "out.mp4", Mean(), progress=False)
    assert not (tmp_path / "out.mp4").exists()


def test_deep_frames_are_stretched_as_images_are(tmp_path):
    deep = np.linspace(29000, 31000, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint16)
    a, b = (
        folder(tmp_path / "a", {"1.png": deep}),
        folder(tmp_path / "b", {"1.png": np.full(SIZE, 90, np.uint8)}),
    )
    options = FusionOptions(reading=PairReading.of((29000, 31000), None, None, "black"))
    fuse_video(a, b, tmp_path / "out.mp4", Mean(), options=options, progress=False)
    assert levels(tmp_path / "out.mp4") == pytest.approx([(90 + 127.5) / 2], abs=2)


def test_ctrl_c_leaves_a_video_that_plays(tmp_path):
    class Interrupted(Mean):
        calls = 0

        def forward(self, a, b):
            self.calls += 1
            if self.calls > 3:
                raise KeyboardInterrupt
            return super().forward(a, b)

    a, b = write(tmp_path / "ir.mp4", range(40, 100, 10)), write(tmp_path / "vi.mp4", range(40, 100, 10))
    report = fuse_video(a, b, tmp_path / "out.mp4", Interrupted(), progress=False)
    assert (report.frames, report.interrupted) == (3, True)
    assert levels(tmp_path / "out.mp4") == pytest.approx([40, 50, 60], abs=2)


def test_ctrl_c_before_the_first_frame_is_ctrl_c(tmp_path):
    class Interrupted(Mean):
        def forward(self, a, b):
            raise KeyboardInterrupt

    a, b = write(tmp_path / "ir.mp4", [40]), write(tmp_path / "vi.mp4", [80])
    with pytest.raises(KeyboardInterrupt):
        fuse_video(a, b, tmp_path / "out.mp4", Interrupted(), progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"ir.mp4", "vi.mp4"}


def test_what_the_result_lacks_is_said(tmp_path):
    a, b = tmp_path / "ir.mkv", write(tmp_path / "vi.mp4", [80, 80])
    with av.open(str(a), "w") as container:
        picture, sound = (
            container.add_stream("libx264", rate=10),
            container.add_stream("pcm_s16le", rate=8000),
        )
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
        silence.sample_rate = 8000
        frames = [av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")] * 2
        for stream, contents in ((picture, [*frames, None]), (sound, [silence, None])):
            for content in contents:
                container.mux(stream.encode(content))
    upright = b"".join(number.to_bytes(4, "big") for number in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    turned = b"".join(n.to_bytes(4, "big") for n in (0, 1 << 16, 0, 2**32 - (1 << 16), 0, 0, 0, 0, 1 << 30))
    assert b.read_bytes().count(upright) == 2, "of the film and of its only track"
    b.write_bytes(turned.join(b.read_bytes().rsplit(upright, 1)))
    report = fuse_video(a, b, tmp_path / "out.mp4", Mean(), progress=False)
    assert f"{a} has sound, the result has none" in report.notes
    assert f"{b} is to be shown turned by -90 degrees, the result is not turned" in report.notes
    with open_video(tmp_path / "out.mp4") as opened:
        assert next(opened.frames)[1].shape == (*SIZE, 3)


@pytest.fixture(params=[signal.default_int_handler, signal.SIG_IGN], ids=["raises", "ignored"])
def on_ctrl_c(request):
    """What Ctrl-C does; programs in the background ignore it."""
    before = signal.signal(signal.SIGINT, request.param)
    yield request.param
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_a_frame_is_encoded_damages_none(tmp_path, monkeypatch, on_ctrl_c):
    class Interrupted(VideoWriter):
        def write(self, frame):
            super().write(frame)
            if self._count == 1:
                self._stream = Encoder(self._stream)

    class Encoder:
        def __init__(self, stream):
            self.stream, self.frames = stream, 1

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def encode(self, frame):
            packets = self.stream.encode(frame)
            self.frames += 1
            if self.frames == 55:  # the encoder holds some frames back: by now there are packets
                assert packets
                signal.raise_signal(signal.SIGINT)
            return packets

    monkeypatch.setattr("mambadfuse.fusion.video.VideoWriter", Interrupted)
    shown = range(30, 230, 3)
    a, b = write(tmp_path / "ir.mp4", shown), write(tmp_path / "vi.mp4", shown)
    report = fuse_video(a, b, tmp_path / "out.mp4", Mean(), progress=False)
    stops = on_ctrl_c is not signal.SIG_IGN
    frames = 55 if stops else len(shown)
    assert (report.frames, report.interrupted) == (frames, stops)
    assert levels(tmp_path / "out.mp4") == pytest.approx(shown[:frames], abs=2)
    assert signal.getsignal(signal.SIGINT) is on_ctrl_c


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file, self.left = file, 2000

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, content):
            self.left -= len(content)
            if self.left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(content)

    monkeypatch.setattr(
        "mambadfuse.fusion.video.VideoWriter", lambda file, *more: VideoWriter(Full(file), *more)
    )
    a, b = (write(tmp_path / f"{side}.mp4", range(40, 200)) for side in ("ir", "vi"))
    with pytest.raises(OSError, match=r"out\.mp4: cannot be written \(No space left on device\)"):
        fuse_video(a, b, tmp_path / "out.mp4", Mean(), progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"ir.mp4", "vi.mp4"}


def test_an_error_leaves_what_was_there(tmp_path):
    class Failing(Mean):
        def forward(self, a, b):
            raise RuntimeError("no")

    a, b = write(tmp_path / "ir.mp4", [40]), write(tmp_path / "vi.mp4", [80])
    out = write(tmp_path / "out.mp4", [99])
    before = out.read_bytes()
    with pytest.raises(RuntimeError, match="no"):
        fuse_video(a, b, out, Failing(), progress=False)
    assert out.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"ir.mp4", "vi.mp4", "out.mp4"}


def test_a_source_is_never_replaced(tmp_path):
    a, b = write(tmp_path / "ir.mp4", [40]), write(tmp_path / "vi.mp4", [80])
    with pytest.raises(ValueError, match=r"ir\.mp4: would replace its own source"):
        fuse_video(a, b, a, Mean(), progress=False)
    (tmp_path / "link.mp4").symlink_to(b)
    with pytest.raises(ValueError, match="would replace its own source"):
        fuse_video(a, b, tmp_path / "link.mp4", Mean(), progress=False)


def test_a_video_is_not_written_among_its_frames(tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    b = write(tmp_path / "vi.mp4", [80])
    with pytest.raises(ValueError, match=r"out\.mp4: .*folder of sources"):
        fuse_video(frames, b, frames / "out.mp4", Mean(), progress=False)
    assert not list(frames.iterdir())


def test_a_video_is_not_fused_with_itself(tmp_path):
    a = write(tmp_path / "ir.mp4", [40])
    (tmp_path / "link.mp4").symlink_to(a)
    for one, other in ((a, a), (a, tmp_path / "link.mp4"), (tmp_path, tmp_path), ("0", "0")):
        with pytest.raises(ValueError, match="are the same video"):
            fuse_video(one, other, tmp_path / "out.mp4", Mean(), progress=False)


def test_sides_of_different_size_are_refused_or_resized(tmp_path):
    a, b = write(tmp_path / "ir.mp4", [40], size=(24, 32)), write(tmp_path / "vi.mp4", [80])
    with pytest.raises(ValueError, match="size"):
        fuse_video(a, b, tmp_path / "new" / "out.mp4", Mean(), progress=False)
    assert not (tmp_path / "new").exists()
    options = FusionOptions(reading=PairReading.of(None, None, "a", "black"))
    fuse_video(a, b, tmp_path / "out.mp4", Mean(), options=options, progress=False)
    assert levels(tmp_path / "out.mp4") == pytest.approx([60], abs=3)


def test_all_frames_are_fused_in_the_same_tiles_and_that_is_said_once(tmp_path, monkeypatch, caplog):
    network = FastFusion(FastFusionConfig(dim=64, depth=1)).eval()
    sides = [write(tmp_path / f"{side}.mp4", [40, 80, 120], size=(160, 160)) for side in "ab"]
    monkeypatch.setattr("mambadfuse.fusion.memory.free_memory", lambda: 5_500_000)
    fuse_video(*sides, tmp_path / "out.mp4", network, progress=False)
    assert [one.message.count("in tiles of 128 pixels") for one in caplog.records] == [1]
    assert levels(tmp_path / "out.mp4") == pytest.approx([40, 80, 120], abs=2)


def test_pixels_that_are_not_square_are_said(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(stream.encode(None))
    with open_video(tmp_path / "a.mkv") as opened:
        assert opened.dropped == [f"{tmp_path / 'a.mkv'} has pixels of 16:15, the result square ones"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "cannot be opened as a video"), (b"<html>" * 99, "cannot be opened as a video")],
)
def test_what_is_no_video_is_named(tmp_path, content, said):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=said), open_video(tmp_path / "a.mp4"):
        pass


def test_a_damaged_video_says_after_which_frame(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", [40, 80])
    original = av.open(str(path))

    class Damaged(nullcontext):
        streams = original.streams

        def decode(self, video):
            yield next(original.decode(video=video))
            raise av.InvalidDataError(1, "invalid data")

    monkeypatch.setattr(av, "open", lambda *_, **__: Damaged())
    with pytest.raises(VideoError, match=r"a\.mp4: is damaged after frame 1"), open_video(path) as opened:
        list(opened.frames)


@pytest.mark.parametrize(
    ("source", "said"), [("nowhere.mp4", "no such video file"), ("empty", "holds no image")]
)
def test_missing_sources_are_named(tmp_path, source, said):
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match=said), open_video(tmp_path / source):
        pass


def test_a_sound_has_no_pictures(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match="holds no video"), open_video(tmp_path / "a.mkv"):
        pass


def test_what_h264_has_not_is_refused(tmp_path):
    with pytest.raises(VideoError, match=r"17000x2 pixels cannot be written as H\.264"):
        write(tmp_path / "a.mp4", [0], size=(2, 17000))


@pytest.mark.parametrize("rate", ["1e4", "1e12", "1e-12"])
def test_rates_that_no_player_understands_are_refused(tmp_path, rate):
    (tmp_path / "frames").mkdir()
    said = f": expected 0.001 to 1000 frames a second, found {float(rate):g}".replace("+", r"\+")
    with pytest.raises(VideoError, match="a video" + said):
        write(tmp_path / "a.mp4", [90], rate=rate)
    with pytest.raises(VideoError, match="frames" + said), open_video(tmp_path / "frames", Fraction(rate)):
        pass


@pytest.mark.parametrize("rate", ["29.97000001", "3.14159265358979", "1000", "1/1000"])
def test_rates_of_many_digits_are_rounded(tmp_path, rate):
    with open_video(write(tmp_path / "a.mp4", [90, 150], rate=rate)) as opened:
        assert float(opened.rate) == pytest.approx(float(Fraction(rate)), rel=1e-6)
        assert len(list(opened.frames)) == 2


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(VideoError, match=r"expected a name that ends in \.mp4"):
        fuse_video("a.mp4", "b.mp4", tmp_path / "out.gif", Mean())


def test_a_camera_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(VideoError, match="99: cannot be opened as a video"), open_video("99"):
        pass
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(VideoError, match="on Linux and macOS only"), open_video("99"):
        pass


def test_two_cameras_are_fused_until_ctrl_c(tmp_path, monkeypatch, capsys):
    files = [write(tmp_path / f"{side}.mkv", [level] * 9) for side, level in (("ir", 40), ("vi", 80))]
    cameras = {(f"/dev/video{k}", "r", "v4l2"): str(file) for k, file in enumerate(files)}
    opened, fused = av.open, []

    def interrupted(*arguments, **options):
        if len(fused) == 3:
            raise KeyboardInterrupt
        fused.append(fuse_with(*arguments, **options))
        return fused[-1]

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(av, "open", lambda *given, **more: opened(cameras.get(given, given[0]), **more))
    monkeypatch.setattr("mambadfuse.fusion.video.fuse_with", interrupted)
    assert fuse(["0", "1"], tmp_path / "out.mp4", "--model", "ivf-tiny") == 130
    said = capsys.readouterr()
    assert "out.mp4 holds the frames so far" in said.err
    assert "out.mp4: 3 frames" in said.out
    with open_video(tmp_path / "out.mp4") as film:
        assert (film.rate, len(list(film.frames))) == (10, 3)


def test_without_pyav_the_remedy_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", [40])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VideoError, match=r"\[video\]"), open_video(path):
        pass


@pytest.fixture
def sides(tmp_path):
    return [str(write(tmp_path / "ir.mp4", [40, 80])), str(write(tmp_path / "vi.mp4", [80, 120], rate=20))]


def fuse(sides, out, *more):
    return cli.main(["fuse", "--a", sides[0], "--b", sides[1], "--out", str(out), *more])


def test_the_command_fuses_videos_and_says_what_differs(tmp_path, sides, capsys):
    assert fuse(sides, tmp_path / "out.mp4", "--model", "ivf-tiny") == 0
    said = capsys.readouterr()
    assert "out.mp4: 2 frames, fused with ivf-tiny at" in said.out
    assert "10 frames a second and" in said.err
    assert len(levels(tmp_path / "out.mp4")) == 2


def test_the_command_makes_a_video_of_folders(tmp_path):
    frames = {f"{i}.png": np.full(SIZE, 20 * i, np.uint8) for i in range(3)}
    both = [str(folder(tmp_path / side, frames)) for side in "ab"]
    assert fuse(both, tmp_path / "out.mkv", "--model", "ivf-tiny", "--rate", "9") == 0
    with open_video(tmp_path / "out.mkv") as opened:
        assert (opened.rate, len(list(opened.frames))) == (9, 3)


def test_an_interrupted_command_ends_with_130(tmp_path, sides, monkeypatch, capsys):
    calls = []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fuse_with(*arguments, **options)

    monkeypatch.setattr("mambadfuse.fusion.video.fuse_with", interrupted)
    assert fuse(sides, tmp_path / "out.mp4", "--model", "ivf-tiny") == 130
    assert "holds the frames so far" in capsys.readouterr().err
    assert len(levels(tmp_path / "out.mp4")) == 1


def test_a_command_interrupted_before_its_first_frame_ends_with_130(tmp_path, sides, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("mambadfuse.fusion.video.fuse_with", interrupted)
    assert fuse(sides, tmp_path / "out.mp4", "--model", "ivf-tiny") == 130
    assert "interrupted" in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--align"], "--align is not for videos"),
        (["--sheet", "sheet.png"], "--sheet is not for videos"),
        (["--slice", "0"], "--slice is not for videos"),
        (["--rate", "9"], "--rate is that of folders of frames"),
        (["--bits", "16"], "8 bits and no alpha channel"),
        (["--stretch", "1%", "99%"], "would flicker"),
        (["--rate", "0"], "expected frames a second, such as 25"),
        (["--rate", "x"], "expected frames a second, such as 25"),
        (["--rate", "1e5"], "at most 1000, found '1e5'"),
    ],
)
def test_options_that_are_not_for_videos_are_refused(tmp_path, sides, more, said, capsys):
    with pytest.raises(SystemExit):
        fuse(sides, tmp_path / "out.mp4", *more)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


def test_a_rate_is_not_for_images(tmp_path, sides, capsys):
    with pytest.raises(SystemExit):
        cli.main(["fuse", "--a", "a.png", "--b", "b.png", "--out", str(tmp_path / "out.png"), "--rate", "9"])
    assert "--rate is that of a video" in capsys.readouterr().err


def test_a_video_that_is_there_is_not_replaced_unasked(tmp_path, sides, capsys):
    out = write(tmp_path / "out.mp4", [9])
    with pytest.raises(SystemExit):
        fuse(sides, out, "--model", "ivf-tiny")
    assert "exists already" in capsys.readouterr().err
    assert fuse(sides, out, "--model", "ivf-tiny", "--overwrite") == 0
    assert len(levels(out)) == 2


def test_a_folder_with_the_name_of_a_video_is_refused_at_once(tmp_path, sides, capsys, monkeypatch):
    (tmp_path / "out.mp4").mkdir()
    monkeypatch.setattr("mambadfuse.fusion.video.fuse_with", None)
    for more in ([], ["--overwrite"]):
        assert fuse(sides, tmp_path / "out.mp4", *more) == 1
        assert "out.mp4: is a folder, expected the name of a video" in capsys.readouterr().err


def test_videos_into_a_folder_are_refused(tmp_path, sides, capsys):
    assert fuse(sides, tmp_path / "out") == 1
    assert "expected a name that ends in .mp4" in capsys.readouterr().err
