"""Videos that were not held upright: turned and mirrored, as the container says or the stream."""

from itertools import product

import cv2
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from dataset.kinetics.video2pkl import Encoding, encode_video
from tests.datareader.clips.videos import (
    Clip,
    av,
    decode_everything,
    draw,
    error_of,
    make_clip,
    read_frames,
    read_planned,
    read_sequential,
    read_with_opencv,
    rewrite,
    write_matrix,
)

pytestmark = pytest.mark.pyav

SIZE = (80, 48)
SIGNS = [*product((1, -1), repeat=2)]
TURNS = [(a, 0, 0, d) for a, d in SIGNS] + [(0, b, c, 0) for b, c in SIGNS]
MIRRORED = [(a, b, c, d) for a, b, c, d in TURNS if a * d - b * c < 0]


def name_of(turn):
    return "".join("-0+"[int(np.sign(value)) + 1] for value in turn)


def show(image, turn):
    """Put each pixel where the matrix moves its middle to: what a display matrix means."""
    a, b, c, d = turn
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    right, down = a * x + c * y, b * x + d * y
    right, down = (np.floor(place - place.min()).astype(int) for place in (right, down))
    shown = np.zeros((down.max() + 1, right.max() + 1, 3), np.uint8)
    shown[down, right] = image
    return shown


@pytest.fixture(scope="module")
def stored(folder):
    """Five frames of SIZE, and the path."""
    path = make_clip(folder, Clip("stored.mp4", "libx264", num_frames=5, size=SIZE))
    return decode_everything(path), path


def make_turned(stored, folder, suffix, turn):
    """The stored video with a matrix, in a container; mkv keeps it as angles."""
    path = folder / f"{name_of(turn)}.{'mp4' if suffix == 'mkv' else suffix}"
    rewrite(stored[1], path, lambda i, packet: (bytes(packet), 0))
    write_matrix(path, turn, SIZE)
    return rewrite(path, path.with_suffix(".mkv"), lambda i, packet: (bytes(packet), 0)) if suffix == "mkv" else path


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("turn", TURNS, ids=name_of)
def test_turned_and_mirrored_videos_are_shown_upright_or_refused(stored, folder, suffix, turn):
    path = make_turned(stored, folder, suffix, turn)
    expected = np.array([show(frame, turn) for frame in stored[0]])
    for way in (read_planned, read_sequential, read_frames):
        np.testing.assert_array_equal(way(str(path), np.arange)[0], expected)
    if turn in MIRRORED:
        assert error_of(read_with_opencv, path) == (
            f"{path} is mirrored, which OpenCV does not undo; install PyAV (python -m pip install av)"
        )
    else:
        np.testing.assert_array_equal(read_with_opencv(str(path), np.arange)[0], expected)


@pytest.mark.parametrize("turn", MIRRORED, ids=name_of)
def test_pickles_hold_mirrored_videos_upright(stored, folder, turn):
    path = make_turned(stored, folder, "mp4", turn)
    jpegs = encode_video(str(path), Encoding(quality=100))
    for jpeg, frame in zip(jpegs, stored[0], strict=True):
        found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB).astype(int)
        shown = {other: show(frame, other) for other in TURNS}
        alike = {other: np.abs(found - image).mean() for other, image in shown.items() if image.shape == found.shape}
        assert min(alike, key=alike.get) == turn


def test_a_video_that_was_held_aslant_is_left_as_it_is_stored(stored, folder):
    path = make_turned(stored, folder, "mov", (0.8, 0.6, -0.6, 0.8))
    for way in (read_frames, read_with_opencv):
        np.testing.assert_array_equal(way(str(path), np.arange)[0], stored[0])


def test_what_the_movie_says_counts_as_what_the_track_says(stored, folder):
    path = make_turned(stored, folder, "mp4", (-1, 0, 0, 1))
    content = bytearray(path.read_bytes())
    matrix = content.index(b"mvhd") + 4 + 36
    content[matrix : matrix + 4] = (-1 << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    for way in (read_frames, read_with_opencv):
        np.testing.assert_array_equal(way(str(path), np.arange)[0], stored[0])


def test_what_the_stream_says_counts_and_opencv_refuses_it(stored, folder):
    path = folder / "in-stream.mp4"
    with av.open(stored[1]) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        order = "h264_metadata=display_orientation=insert:rotate=90:flip=horizontal"
        saying = BitStreamFilterContext(order, old.streams.video[0], stream)
        for packet in old.demux(video=0):
            for said in saying.filter(packet if packet.size else None):
                said.stream = stream
                new.mux(said)
    frames, _ = read_frames(str(path), lambda num_frames: np.array([0]))
    np.testing.assert_array_equal(frames[0], show(stored[0][0], (0, 1, 1, 0)))
    assert "says in its stream how it was held" in error_of(read_with_opencv, path)


def test_drawn_frames_differ_in_every_orientation():
    image = draw(5, SIZE)
    shown = [show(image, turn) for turn in TURNS]
    assert len({(picture.shape, picture.tobytes()) for picture in shown}) == len(TURNS)
