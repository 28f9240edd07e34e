"""Copies of videos with something drawn in: times, sound and colours are those of the video."""

import resource
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from datareader.clips import copies
from datareader.clips.copies import copy_video, is_video
from datareader.clips.marks import has_mark, is_copy
from tests.datareader.clips.talkies import listen, make_talkie, packets_of, watch
from tests.datareader.clips.test_upright import TURNS, name_of, show
from tests.datareader.clips.tracks import make_films
from tests.datareader.clips.videos import (
    UNEVEN,
    Clip,
    cut_packet,
    decode_everything,
    draw,
    make_clip,
    read_number,
    rewrite,
    write_matrix,
)
from tools.errors import DataError

pytestmark = pytest.mark.pyav


def draw_nothing(planes, time_sec):
    pass


def copy(path, folder, drawn=draw_nothing, on_time=lambda sec: None):
    """(the copy's path, what was said)."""
    target = folder / "copy.mp4"
    return str(target), copy_video(str(path), str(target), drawn, on_time, 1)


@pytest.mark.parametrize(
    ("name", "codec", "ticks", "b_frames"),
    [
        ("a.mp4", "libx264", UNEVEN, 0),
        ("a.mp4", "libx264", UNEVEN, 2),
        ("a.mkv", "libx264", UNEVEN, 2),
        ("a.avi", "mpeg4", [], 2),
        ("a.h264", "libx264", [], 2),
    ],
)
def test_every_frame_is_there_at_its_time(tmp_path, name, codec, ticks, b_frames):
    source = make_clip(tmp_path, Clip(name, codec, size=(96, 64), ticks=ticks, b_frames=b_frames))
    drawn_at, told = [], []
    target, said = copy(source, tmp_path, lambda planes, time_sec: drawn_at.append(time_sec), told.append)
    assert said == []
    with av.open(source) as one, av.open(target) as other:
        times, found = ([frame.time for frame in container.decode(video=0)] for container in (one, other))
        length_sec = [
            float((each.streams.video[0].duration or 0) * each.streams.video[0].time_base) for each in (one, other)
        ]
    if None in times:  # this one says how many frames a second there are, or is taken for one of 25
        times = [number / 25 for number in range(30)]
    times = np.array(times) - times[0]
    np.testing.assert_allclose(np.array(found) - found[0], times, atol=1e-6)
    np.testing.assert_allclose(drawn_at, times, atol=1e-6)
    assert [read_number(frame) for frame in decode_everything(target)] == list(range(30))
    assert told == sorted(told)
    assert told[-1] == pytest.approx(times[-1])
    assert 0.01 < length_sec[1] - times[-1] < 0.3
    if b_frames == 0:
        assert length_sec[0] == pytest.approx(length_sec[1], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "sound", "pictures"),
    [
        ("a.mp4", "aac", "libx264"),
        ("a.mkv", "aac", "libx264"),
        ("a.ts", "aac", "libx264"),
        ("a.avi", "libmp3lame", "mpeg4"),
        ("a.webm", "libopus", "libvpx"),
        ("a.mkv", "flac", "libx264"),
    ],
)
def test_sound_that_an_mp4_takes_is_copied_packet_by_packet_and_stays_in_time(tmp_path, name, sound, pictures):
    source = make_talkie(tmp_path / name, sound=sound, pictures=pictures)
    target, said = copy(source, tmp_path)
    assert said == []
    if not name.endswith(".ts"):  # where each packet has a head that an mp4 has once
        assert packets_of(target) == packets_of(source)
    heard, expected = listen(target), listen(source)
    assert heard[0] == expected[0]
    assert len(heard[2]) > len(expected[2]) - 48  # Matroska's times are whole milliseconds, the end's too (PyAV 19.0)
    shared = min(len(heard[2]), len(expected[2]))
    np.testing.assert_array_equal(heard[2][:shared], expected[2][:shared])
    seen, wanted = watch(target), watch(source)
    assert seen[1] - heard[3] == pytest.approx(wanted[1] - expected[3], abs=0.002)
    assert seen[0][0] - heard[1] == pytest.approx(wanted[0][0] - expected[1], abs=0.002)


@pytest.mark.parametrize(("name", "sound"), [("a.avi", "pcm_s16le"), ("a.mov", "pcm_s16be")])
def test_other_sound_becomes_aac_and_stays_in_time(tmp_path, name, sound):
    if sound not in av.codecs_available:
        pytest.skip(f"this PyAV has no {sound}")
    source = make_talkie(tmp_path / name, sound=sound, pictures="mpeg4")
    target, said = copy(source, tmp_path)
    assert said == [f"its sound, {sound.removeprefix('lib')}, is encoded as AAC"]
    (codec, begin, samples, click), expected = listen(target), listen(source)
    assert codec == "aac"
    assert click - watch(target)[1] == pytest.approx(expected[3] - watch(source)[1], abs=0.003)
    assert begin + len(samples) / 48000 == pytest.approx(expected[1] + len(expected[2]) / 48000, abs=0.03)


@pytest.mark.parametrize("late_sec", [(0.4, 0), (0, 0.3), (0.2, 0.4), (-0.3, -0.3)])
@pytest.mark.parametrize("sound", ["aac", "flac"])
def test_a_late_start_of_one_and_what_an_edit_list_cuts_away_are_kept(tmp_path, late_sec, sound):
    source = make_talkie(tmp_path / "a.mp4", late_sec=late_sec, sound=sound, flash_sec=0.6)
    target, _ = copy(source, tmp_path)
    (seen, flash), (heard, click) = watch(target), listen(target)[1::2]
    (wanted, wanted_flash), (expected, wanted_click) = watch(source), listen(source)[1::2]
    assert len(seen) == len(wanted)
    assert seen[0] - heard == pytest.approx(wanted[0] - expected, abs=0.001)
    assert flash - click == pytest.approx(wanted_flash - wanted_click, abs=0.001)
    assert abs(flash - click) < 0.05


def test_silence_stands_where_sound_that_is_encoded_anew_is_missing(tmp_path):
    whole = make_talkie(tmp_path / "whole.mkv", ticks=range(90), sound="pcm_s16le", flash_sec=2.0, sound_sec=3.0)
    source = tmp_path / "gap.mkv"
    with av.open(whole) as old, av.open(str(source), "w") as new:
        tracks = [new.add_stream_from_template(stream) for stream in old.streams]
        for packet in old.demux():
            if packet.size and not (packet.stream.type == "audio" and 0.5 < packet.pts * packet.time_base < 1.5):
                packet.stream = tracks[packet.stream.index]
                new.mux(packet)
    target, _ = copy(source, tmp_path)
    assert listen(target)[3] == pytest.approx(watch(target)[1], abs=0.003)


def test_all_sounds_are_kept_and_subtitles_and_covers_left_out(tmp_path):
    source = tmp_path / "a.mkv"
    with (
        av.open(make_talkie(tmp_path / "1.mp4")) as film,
        av.open(make_talkie(tmp_path / "2.mp4", sound="flac")) as other,
        av.open(str(source), "w") as new,
    ):
        tracks = [new.add_stream_from_template(film.streams[i]) for i in (0, 1)]
        tracks.append(new.add_stream_from_template(other.streams[1]))
        for track, language in zip(tracks[1:], ("deu", "zho"), strict=True):
            track.metadata["language"] = language
        words = new.add_mux_stream("subrip")
        for container, places in ((film, {0: 0, 1: 1}), (other, {1: 2})):
            for packet in container.demux():
                if packet.size and packet.stream.index in places:
                    packet.stream = tracks[places[packet.stream.index]]
                    new.mux(packet)
        line = av.Packet(b"words")
        line.pts = line.dts = 0
        line.duration, line.stream = 500, words
        new.mux(line)
    target, _ = copy(source, tmp_path)
    with av.open(target) as container:
        kinds = [(stream.type, stream.metadata.get("language")) for stream in container.streams]
    assert [kind for kind, _ in kinds] == ["video", "audio", "audio"]
    assert [language for _, language in kinds[1:]] == ["deu", "zho"]
    assert listen(target, 1)[0] == "flac"


def test_of_several_films_the_one_that_is_classified_is_copied(tmp_path):
    still, film = ("mjpeg", (32, 32), 1, Disposition.attached_pic), ("libx264", (96, 64), 5, Disposition.default)
    source = make_films(tmp_path / "a.mp4", still, film)
    assert [read_number(frame) for frame in decode_everything(copy(source, tmp_path)[0])] == list(range(5))


@pytest.mark.parametrize("turn", TURNS, ids=name_of)
def test_a_copy_is_upright(tmp_path, turn):
    source = make_clip(tmp_path, Clip("a.mp4", "libx264", num_frames=2, size=(80, 48)))
    stored = decode_everything(source)
    turned = tmp_path / "turned.mp4"
    rewrite(source, turned, lambda i, packet: (bytes(packet), 0))
    write_matrix(turned, turn, (80, 48))
    seen = []
    target, _ = copy(turned, tmp_path, lambda planes, time_sec: seen.append(planes.luma.shape))
    found = decode_everything(target)
    expected = np.array([show(frame, turn) for frame in stored])
    assert found.shape == expected.shape
    assert seen[0] == expected.shape[1:3]
    assert np.abs(found.astype(int) - expected).mean() < 6
    with av.open(target) as container:
        assert next(container.decode(video=0)).side_data.get("DISPLAYMATRIX") is None


@pytest.mark.parametrize("size", [(65, 49), (1, 1), (3, 200)])
def test_an_odd_side_is_made_even_by_its_edge(tmp_path, size):
    source = make_clip(tmp_path, Clip("a.mkv", "ffv1", num_frames=2, size=size, pix_fmt="yuv444p"))
    found = decode_everything(copy(source, tmp_path)[0])
    width, height = size
    assert found.shape[1:3] == (height + height % 2, width + width % 2)
    assert np.abs(found[0, :height, :width].astype(int) - decode_everything(source)[0]).mean() < 30
    if width % 2 and width > 1:
        assert np.abs(found[0, :, -1].astype(int) - found[0, :, -2]).mean() < 8


COLOURED = {  # what a film is, and the tags that its copy has: primaries, transfer, matrix, range (ITU-T H.273)
    "bt709": ("yuv420p", (1, 1, 1, 1), (1, 1, 1)),
    "pq": ("yuv420p10le", (9, 16, 9, 1), (9, 16, 9)),
    "hlg": ("yuv420p10le", (9, 18, 9, 1), (9, 18, 9)),
    "full": ("yuv420p", (1, 1, 1, 2), (1, 1, 1)),
}


@pytest.mark.parametrize("name", COLOURED)
def test_colours_are_as_they_are_stored_in_8_bits(tmp_path, name):
    pix_fmt, tags, expected = COLOURED[name]
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = tags
        frame = av.VideoFrame.from_ndarray(two_colours()).reformat(
            format=pix_fmt, dst_colorspace=1 if tags[2] == 1 else 9, dst_color_range="JPEG" if tags[3] == 2 else "MPEG"
        )
        frame.pts = 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    whites = []
    target, _ = copy(source, tmp_path, lambda planes, time_sec: whites.append(planes.white))
    with av.open(target) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace) == expected
        assert context.color_range in (0, 1)  # limited, which need not be said
        assert context.pix_fmt == "yuv420p"
    found, stored = (decode_everything(str(path))[0].astype(int) for path in (target, source))
    np.testing.assert_allclose(found[20, [10, 50]], stored[20, [10, 50]], atol=4)
    assert whites == [{"pq": 143, "hlg": 180}.get(name, 235)]


def two_colours():
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = (200, 40, 60), (20, 90, 230)
    return image


def test_pictures_that_are_rgb_keep_their_colours(tmp_path):
    source = tmp_path / "a.mov"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(two_colours())))
        container.mux(stream.encode(None))
    found = decode_everything(copy(source, tmp_path)[0])[0]
    np.testing.assert_allclose(found[20, [10, 50]].astype(int), two_colours()[20, [10, 50]], atol=4)


def test_pixels_that_are_not_square_stay_so(tmp_path):
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)
        frame = av.VideoFrame.from_ndarray(draw(0, (64, 64)))
        container.mux([*stream.encode(frame), *stream.encode(None)])
    for turn, expected in (((1, 0, 0, 1), 16 / 11), ((0, 1, -1, 0), 11 / 16)):
        write_matrix(source, turn, (64, 64))
        with av.open(copy(source, tmp_path)[0]) as container:
            assert float(container.streams.video[0].sample_aspect_ratio) == pytest.approx(expected)


def test_what_is_drawn_is_seen(tmp_path):
    source = make_clip(tmp_path, Clip("a.mp4", "libx264", num_frames=20, size=(96, 64)))

    def paint(planes, time_sec):
        assert planes.luma.shape == (64, 96)
        assert planes.blue.shape == planes.red.shape == (32, 48)
        if time_sec >= 0.5:
            planes.luma[:], planes.blue[:], planes.red[:] = planes.white, 128, 128

    frames = decode_everything(copy(source, tmp_path, paint)[0])
    assert [frame.mean() > 240 for frame in frames] == [False] * 15 + [True] * 5
    assert np.ptp(frames[-1].astype(int)) < 12


def test_a_copy_is_known_for_one_and_can_be_played_while_it_loads(tmp_path):
    source = make_talkie(tmp_path / "a.mp4")
    target, _ = copy(source, tmp_path)
    assert is_copy(target)
    assert not is_copy(source)
    (tmp_path / "a.txt").write_text("no video")
    assert not is_copy(str(tmp_path / "a.txt"))
    assert [has_mark(path) for path in (source, target, tmp_path / "a.txt")] == [False, True, False]
    content = (tmp_path / "copy.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_what_somebody_has_made_of_a_copy_is_none_and_keeps_its_mark(tmp_path):
    target, _ = copy(make_talkie(tmp_path / "a.mp4"), tmp_path)
    cut = str(tmp_path / "cut.mp4")
    with av.open(target) as source, av.open(cut, "w") as output:
        output.metadata.update(source.metadata)
        stream = source.streams.video[0]
        track = output.add_stream_from_template(stream)
        for packet in [packet for packet in source.demux(stream) if packet.size][:5]:
            packet.stream = track
            output.mux(packet)
    assert has_mark(cut)
    assert not is_copy(cut)


def test_without_libx264_the_pictures_are_mpeg_4_which_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "_ENCODERS", copies._ENCODERS[1:])
    source = make_talkie(tmp_path / "a.ts")  # whose ticks, 90,000 a second, are more than MPEG-4 Part 2 can say
    target, said = copy(source, tmp_path)
    assert said == ["encoded by mpeg4, as this PyAV has no libx264"]
    seen, wanted = watch(target), watch(source)
    np.testing.assert_allclose(np.array(seen[0]) - seen[0][0], np.array(wanted[0]) - wanted[0][0], atol=1e-4)
    assert packets_of(target)


def test_of_a_damaged_video_there_is_what_can_be_decoded(tmp_path):
    source = make_clip(tmp_path, Clip("a.mkv", "libx264", num_frames=90, size=(96, 64), gop=30))
    whole = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 3])
    target, said = copy(tmp_path / "cut.mkv", tmp_path)
    frames = decode_everything(target)
    assert 10 < len(frames) < 60
    assert len(said) == 1
    assert said[0].startswith("the file ends at ")
    assert said[0].endswith(" of the 3.0 s that it says")
    target, _ = copy(cut_packet(source, tmp_path / "hole.mkv", 40), tmp_path)
    numbers = [read_number(frame) for frame in decode_everything(target)]
    assert numbers[:30] == list(range(30))
    assert numbers[-30:] == list(range(60, 90))


@pytest.mark.parametrize("sound", ["aac", "mp2"])
def test_of_films_that_were_put_together_each_has_its_sound_at_its_time(tmp_path, monkeypatch, sound):
    if sound == "mp2":  # as if an mp4 did not take it
        monkeypatch.setattr("datareader.clips.sound.COPIED_CODECS", {"aac"})
    parts = [
        make_talkie(tmp_path / f"{i}.ts", ticks=range(60), sound=sound, sound_sec=2.0, flash_sec=flash)
        for i, flash in enumerate((9.0, 0.5))
    ]
    source = tmp_path / "a.ts"
    source.write_bytes(b"".join((tmp_path / f"{i}.ts").read_bytes() for i in range(len(parts))))
    target, said = copy(source, tmp_path)
    assert said == ([] if sound == "aac" else ["its sound, mp2, is encoded as AAC"])
    times, flash = watch(target)
    assert len(times) == 120
    assert flash == pytest.approx(times[0] + 2.5, abs=0.05)
    assert listen(target)[3] == pytest.approx(flash, abs=0.08)


def test_a_film_that_is_shorter_than_its_sound_is_not_called_damaged(tmp_path):
    source = make_talkie(tmp_path / "a.mkv", sound_sec=4.0)
    target, said = copy(source, tmp_path)
    assert said == []
    assert len(listen(target)[2]) / 48000 == pytest.approx(4.0, abs=0.03)


def test_a_video_without_a_frame_is_one_line(tmp_path):
    source = make_clip(tmp_path, Clip("a.mkv", "libx264", num_frames=1, size=(96, 64)))
    with pytest.raises(DataError, match="no frame of its h264 video stream can be decoded"):
        copy(cut_packet(source, tmp_path / "hole.mkv", 0), tmp_path)


def test_a_disk_without_room_is_an_error_of_the_system(tmp_path):
    source = make_talkie(tmp_path / "a.mp4", size=(640, 480))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            copy(source, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with pytest.raises(OSError, match="No such file or directory"):
        copy_video(source, str(tmp_path / "none" / "a.mp4"), draw_nothing, lambda sec: None, 1)


def test_pickles_and_folders_of_frames_are_no_videos(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02.")
    assert not is_video(str(tmp_path / "a.pkl"))
    assert not is_video(str(tmp_path))
    assert is_video(make_talkie(tmp_path / "a.mp4"))
