"""Broken and hostile uploads are one line each, and the server goes on, no larger than before."""

import gzip
import io
import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.datareader.clips.synthetic import encode_jpeg, make_frames
from tests.mutants import mutants


class Command:
    """Runs where a pickle of it is loaded by Python's own unpickler."""

    def __reduce__(self):
        return exec, ("raise SystemExit('it ran')",)


def bomb_of_arrays():
    memory = io.BytesIO()
    np.savez_compressed(memory, x=np.zeros(100_000_000, np.uint8))
    return memory.getvalue()


def odd_files(films):
    """Name -> content, each of another kind."""
    video, frame = (films / "one.mp4").read_bytes(), encode_jpeg(make_frames(1)[0])
    return {
        "a video that is cut": video[: len(video) // 3],
        "zeros": bytes(100_000),
        "a text": b"no video\n" * 1000,
        "a page": b"<html><body>404</body></html>",
        "a list": b"/etc/passwd\n",
        "a playlist": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
        "a list of parts": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "a picture": frame,
        "too many pixels": b"YUV4MPEG2 W10000 H10000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(1000),
        "a pickle that runs": pickle.dumps(Command()),
        "a pickle of another kind": pickle.dumps({"x": 1}),
        "frames that are none": pickle.dumps(("x", 1, [b"no frame"])),
        "a pickle without an end": pickle.dumps(("x", 1, [frame] * 3))[:-500],
        "a deep pickle": b"\x80\x04" + b"]" * 500_000 + b"a" * 499_999 + b".",
        "a pickle that asks for much": b"\x80\x04\x8e" + (1 << 50).to_bytes(8, "little") + b"x.",
        "packed zeros": gzip.compress(bytes(100_000_000)),
        "packed arrays": bomb_of_arrays(),
        "features": pickle.dumps([{"video": "x", "feature": np.zeros((3, 1024), np.uint8)}]),
    }


def assert_refused(name, answer, server):
    assert 400 <= answer.status < 500, (name, answer.body)
    (text,) = answer.json.values()
    assert text
    assert "\n" not in text
    assert str(server.folder) not in text


def test_files_of_other_kinds_are_refused_in_a_line(server, films):
    for name, content in odd_files(films).items():
        assert_refused(name, server.send(content), server)
    assert server.send((films / "one.mp4").read_bytes()).status == 200
    assert server.uploads() == []


@pytest.mark.slow
def test_200_broken_uploads_of_4_clients_leave_the_server_as_it_was(server, films):
    odd = list(odd_files(films).items())
    seeds = [(films / name).read_bytes() for name in ("one.mp4", "two.avi", "p.pkl")]
    sent = [odd[number % len(odd)] for number in range(80)]
    sent += [("a mutant", content) for i, seed in enumerate(seeds) for content in mutants(seed, 40, i)]
    random.Random(0).shuffle(sent)
    right = (films / "one.mp4").read_bytes()
    before, expected = server.rss_kb(), server.send(right).json["classes"]
    with ThreadPoolExecutor(4) as pool:
        for (name, _), answer in zip(sent, pool.map(lambda one: server.send(one[1]), sent), strict=True):
            if name != "a mutant" or answer.status != 200:
                assert_refused(name, answer, server)
    assert len(sent) == 200
    assert server.send(right).json["classes"] == expected
    assert server.uploads() == []
    assert server.rss_kb() < before + 300_000
    assert server.metric("video_errors_total") == 0
