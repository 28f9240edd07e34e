"""What a client may use up, and what it is told beyond."""

import contextlib
import pickle
import resource
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.datareader.clips.synthetic import encode_jpeg, make_frames
from tests.tools.serve.conftest import FLAGS
from tests.tools.serve.servers import FORM, form_of, running, wait_until


def error_of(answer, status):
    assert answer.status == status, answer.body
    assert set(answer.json) == {"error"}
    assert "\n" not in answer.json["error"]
    return answer.json["error"]


def read_all(connection):
    data = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(1 << 16):
            data += chunk
    return data


@pytest.mark.parametrize("name", [None, "large.mp4"])
def test_a_file_that_is_too_large_is_413(server, name):
    assert (
        error_of(server.send(bytes(5_000_000), name=name), 413) == "the upload is larger than 4.0 MB (--max-upload-mb)"
    )
    assert server.uploads() == []


def test_a_length_that_is_too_large_is_413_before_a_byte_is_sent(server):
    with server.socket() as connection:
        connection.sendall(
            b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n"
        )
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_chunks_of_no_known_length_are_counted(server):
    with server.socket() as connection:
        connection.sendall(b"POST /classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(80):
                connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_what_follows_the_end_of_a_form_is_counted(server):
    form = form_of(b"abc", "a.mp4")
    with server.socket() as connection:
        head = (
            f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(head.encode() + b"%x\r\n%b\r\n" % (len(form), form))
        with contextlib.suppress(ConnectionError):
            for _ in range(80):
                connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_tiny_chunks_are_refused(server):
    with server.socket() as connection:
        connection.sendall(b"POST /classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"1\r\nx\r\n" * 2000)
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")
    wait_until(lambda: server.metric("video_uploads_under_way") == 0)


def test_two_lengths_of_a_request_are_refused(server):
    with server.socket() as connection:
        connection.sendall(
            b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\nx\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Content-Length and Transfer-Encoding" in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_an_id_longer_than_any_answer_is_refused(server):
    frames = [encode_jpeg(frame) for frame in make_frames(3)]
    answer = server.send(pickle.dumps(("x" * 1_000_000, 1, frames)), name="p.pkl")
    assert error_of(answer, 415) == "p.pkl has an id of 1,000,000 characters; give its videos ids of at most 1,000"


def test_connections_that_ask_nothing_make_room_for_those_that_do(server):
    with contextlib.ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(server.socket()).sendall(b"GET / HT")
        assert server.ask("GET", "/healthz").status == 200


def test_a_slow_client_is_408_and_leaves_nothing(server):
    with server.socket() as connection:
        connection.sendall(b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nabc")
        wait_until(lambda: server.metric("video_uploads_under_way") == 1)
        assert len(server.uploads()) == 1
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")
    assert server.uploads() == []


def test_a_client_that_goes_while_it_sends_leaves_nothing(server):
    before = server.metric("video_clients_gone_total")
    with server.socket() as connection:
        connection.sendall(b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nabc")
        wait_until(lambda: server.metric("video_uploads_under_way") == 1)
    wait_until(lambda: server.metric("video_clients_gone_total") == before + 1)
    assert server.metric("video_uploads_under_way") == 0
    assert server.uploads() == []


def test_a_form_that_is_cut_or_lacks_the_file_is_400(server, films):
    video = (films / "one.mp4").read_bytes()
    form = form_of(video, "one.mp4")
    headers = {"Content-Type": FORM}
    assert error_of(server.ask("POST", "/classify", form[:-20], headers), 400) == "the form is cut short"
    other = server.ask("POST", "/classify", form_of(video, "one.mp4", "video"), headers)
    assert error_of(other, 400) == "the form has no field file with a video; its fields are 'video'"
    twice = form.removesuffix(b"--\r\n") + b"\r\n" + form.partition(b"\r\n")[2]
    assert "twice" in error_of(server.ask("POST", "/classify", twice, headers), 400)
    no_boundary = server.ask("POST", "/classify", form, {"Content-Type": "multipart/form-data"})
    assert "names no boundary" in error_of(no_boundary, 400)
    assert "empty" in error_of(server.send(b""), 400)
    assert server.uploads() == []


def test_a_refusal_of_what_has_come_whole_waits_for_nothing(server):
    began = time.monotonic()
    for _ in range(10):
        assert server.send(b"").status == 400
    assert time.monotonic() - began < 8  # of 10 s, if each waited for more


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("topk=-1", "topk = '-1' should be"),
        ("topk=1&topk=2", "topk is given twice"),
        ("top=1", "unknown query key 'top'; /classify takes topk, window_sec, stride_sec, frames"),
        ("stride_sec=1", "give window_sec too"),
        ("window_sec=1e-99999999", "should be seconds"),
        ("window_sec=nan", "should be seconds"),
        ("frames=yes", "frames = 'yes' should be 1 or 0"),
    ],
)
def test_a_query_that_is_no_question_is_400(server, query, said):
    assert said in error_of(server.send(b"x", query), 400)


def test_more_windows_than_an_answer_has_room_for_are_refused(server, films):
    answer = server.send((films / "three.mp4").read_bytes(), "window_sec=0.001", "three.mp4")
    assert error_of(answer, 422).startswith("three.mp4 has 3,798 windows; ")
    assert "an answer has room for 2,000" in answer.json["error"]


def test_a_pickle_has_no_windows(server, films):
    answer = server.send((films / "p.pkl").read_bytes(), "window_sec=1", "p.pkl")
    assert "does not say when they are shown; window_sec takes videos" in error_of(answer, 422)


def test_hosts_and_origins_of_others_are_refused(server, films):
    video = (films / "one.mp4").read_bytes()
    assert "--allow-host" in error_of(server.ask("GET", "/", headers={"Host": "evil.example"}), 403)
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ):
        assert error_of(server.ask("POST", "/classify", video, headers), 403) == (
            "a page of another site may not use this server"
        )
    here = {"Origin": f"http://127.0.0.1:{server.port}"}
    answer = server.ask("POST", "/classify", video, here)
    assert answer.status == 200
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_a_name_is_text_in_the_answer_and_in_errors(server, films):
    name = "<img src=x onerror=alert(1)>.mp4"
    assert server.send((films / "one.mp4").read_bytes(), name=name.replace('"', "")).json["id"] == name
    assert error_of(server.send(b"no video", name="../../etc/x\x1b[2J"), 415).startswith(r"'../../etc/x\x1b[2J' is")
    assert server.uploads() == []


@pytest.mark.slow
def test_uploads_beyond_the_queue_are_503_with_a_time_to_come_again(films, tmp_path):
    flags = (*FLAGS, "--decode-processes=1", "--queue=1", "--slow-sec=30")
    video = (films / "one.mp4").read_bytes()
    head = f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(video)}\r\n\r\n".encode()
    with running(*flags, cwd=films, folder=tmp_path) as server, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.socket()) for _ in range(2)]
        for connection in slow:
            connection.sendall(head + video[:100])
        wait_until(lambda: server.metric("video_uploads_under_way") == 2)
        answer = server.send(video)
        assert "2 uploads are under way" in error_of(answer, 503)
        assert answer.headers["Retry-After"] == "2"
        for connection in slow:
            connection.sendall(video[100:])
            assert connection.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: server.metric("video_uploads_under_way") == 0)
        assert server.send(video).status == 200


@pytest.mark.slow
def test_a_full_disk_is_507_for_that_request_alone(films, tmp_path):
    with running(*FLAGS, "--decode-processes=1", cwd=films, folder=tmp_path) as server:
        most = 2_000_000
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))  # as a disk with so little room
        assert "no room for the upload" in error_of(server.send(bytes(3_000_000)), 507)
        assert server.send((films / "one.mp4").read_bytes()).status == 200
        assert server.uploads() == []


@pytest.mark.slow
def test_clients_that_go_away_leave_neither_files_nor_work_nor_memory(films, tmp_path):
    def ask_and_go(number):
        with server.socket() as connection:
            connection.sendall(head + video)
            time.sleep(0.002 * (number % 10))

    video = (films / "three.mp4").read_bytes() + bytes(3_000_000)  # so that memory that is kept would show
    head = f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(video)}\r\n\r\n".encode()
    with running(*FLAGS, "--decode-processes=2", "--queue=100", cwd=films, folder=tmp_path) as server:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask_and_go, range(80)))
            wait_until(lambda: server.metric("video_uploads_under_way") == 0)
            before = server.rss_kb()
            list(pool.map(ask_and_go, range(160)))
        wait_until(lambda: server.metric("video_uploads_under_way") == 0)
        assert server.uploads() == []
        assert server.metric("video_decoder_restarts_total") == 0  # what is soon done is let come to its end
        assert server.rss_kb() < before + 100_000  # kB; the uploads have 480 MB
        assert server.send((films / "one.mp4").read_bytes()).status == 200
