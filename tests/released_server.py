"""A server of released weights on this machine that does right and wrong as a test asks for."""

import contextlib
import http.server
import re
import threading
import time


class Page:
    """What an address answers with. The flags say what goes wrong.

    statuses: sent first, one a request, before the content is; with a text of its own as (status, text). cut: close the
    connection after this many bytes of each answer, so often. length: another Content-Length than is true. drip: bytes
    a piece, with a rest of ``rest_sec`` after each. hold: an event to wait for in the middle of the body. changes:
    another ETag on every request. drip_head: "Continue" answers without end, with a rest after each. chunk: bytes a
    chunk. range_says: another Content-Range. obeys: what If-Range says. after_cut: is called then.
    """

    def __init__(
        self,
        content=b"",
        *,
        statuses=(),
        cut=None,
        cuts=1,
        length=None,
        drip=None,
        rest_sec=0.01,
        hold=None,
        etag='"v1"',
        modified=None,
        ranges=True,
        changes=False,
        chunked=False,
        location=None,
        drip_head=False,
        chunk=None,
        range_says=None,
    ):
        self.content, self.statuses, self.location = content, list(statuses), location
        self.cut, self.cuts, self.length = cut, cuts, length
        self.drip, self.rest_sec, self.hold, self.chunked = drip, rest_sec, hold, chunked
        self.drip_head, self.chunk, self.range_says = drip_head, chunk, range_says
        self.obeys, self.after_cut = True, lambda: None
        self.etag, self.modified, self.ranges, self.changes = etag, modified, ranges, changes


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.close_connection = True
        self.server.requests.append((self.path, self.headers["Range"]))
        page = self.server.pages.get(self.path) or Page(statuses=[404])
        if page.statuses:
            status = page.statuses.pop(0) if len(page.statuses) > 1 or page.content else page.statuses[0]
            self.send_error(*(status if isinstance(status, tuple) else [status]))
            return
        if page.location:
            self.send_response(302)
            self.send_header("Location", page.location)
            self.send_header("Content-Length", str(page.length or 0))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for _ in range(page.length or 0):
                    self.wfile.write(bytes(1 << 20))
            return
        with contextlib.suppress(ConnectionError):  # who asked may be gone, or killed
            self.send(page)

    def send(self, page):
        if page.drip_head:
            while True:
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                time.sleep(page.rest_sec)
        if page.changes:
            page.etag = f'"v{len(self.server.requests)}"'
        body = page.content
        start = self.start_of(page)
        if start:
            self.send_response(206)
            self.send_header("Content-Range", page.range_says or f"bytes {start}-{len(body) - 1}/{len(body)}")
            body = body[start:]
        else:
            self.send_response(200)
        for name, value in (("ETag", page.etag), ("Last-Modified", page.modified)):
            if value:
                self.send_header(name, value)
        if page.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            size = page.chunk or len(body)
            chunks = [body[at : at + size] for at in range(0, len(body), size)] + [b""]
            body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        else:
            self.send_header("Content-Length", str(page.length or len(body)))
        self.end_headers()
        then = None
        if page.cut is not None and page.cuts:
            page.cuts -= 1
            body = body[: page.cut]
            then = page.after_cut
        if page.hold:
            half = len(body) // 2
            self.wfile.write(body[:half])
            page.hold.wait(timeout=30)
            body = body[half:]
        step = page.drip or len(body) or 1
        for at in range(0, len(body), step):
            self.wfile.write(body[at : at + step])
            if page.drip:
                time.sleep(page.rest_sec)
        if then:
            then()

    def start_of(self, page):
        """Where the answer begins: as asked for, if this version of the page was asked for."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        is_wanted = not page.obeys or self.headers["If-Range"] in (None, page.etag, page.modified)
        return int(match[1]) if match and page.ranges and is_wanted else 0

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    """pages: path -> Page. requests: (path, Range header) of each request so far."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.requests = {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def running_server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
