"""What the server answers, path by path."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tools.serve.answers import Answerer, Findings
from tools.serve.decoders import Decoders, Job
from tools.serve.network import NetworkThread
from tools.serve.options import Limits
from tools.serve.page import ServerPage
from tools.serve.questions import Question, parse_question
from tools.serve.refusals import ClientGoneError, RefusalError, name_upload
from tools.serve.spool import Spool
from tools.serve.statistics import CONTENT_TYPE, Statistics
from tools.serve.uploads import Upload, receive_upload
from tools.serve.wire import Task

RETRY = {"Retry-After": "2"}  # seconds, for a client that found the server busy


@dataclass
class Service:
    """All that answers need, while the server runs. is_stopping: no more uploads are taken."""

    answerer: Answerer
    page: ServerPage
    num_classes: int
    limits: Limits
    spool: Spool
    decoders: Decoders
    network_thread: NetworkThread
    statistics: Statistics
    is_stopping: bool = False
    num_taken: int = 0  # uploads that are under way

    async def classify(self, request: Request) -> Response:
        began = time.monotonic()
        answerer = self.answerer
        question = parse_question(request.query_params.multi_items(), answerer.model, answerer.is_clips)
        self._take_place()
        try:
            headers = request.headers
            upload = await receive_upload(
                request.receive, headers.get("content-type", ""), headers.get("content-length"), self.spool, self.limits
            )
        except BaseException:
            self._leave_place()
            raise
        findings = Findings(self.network_thread)
        pictures = question.frames
        job = Job(
            Task(str(upload.path), question.windows, question.most_parts(self.num_classes), pictures), findings.add
        )
        loop = asyncio.get_running_loop()
        # The place is free once the work is done, which may be later than its client is gone.
        leave = partial(_call_in, loop, self._leave_place)
        job.done.add_done_callback(lambda _: findings.when_done(leave))
        try:
            self.decoders.submit(job)
            content = await while_connected(request, partial(self._find, job, findings, question, upload, began))
        except RefusalError as error:
            raise name_upload(error, str(upload.path), upload.name) from None
        except (ClientGoneError, asyncio.CancelledError):
            self.decoders.give_up(job)
            findings.give_up()
            raise
        finally:
            upload.path.unlink(missing_ok=True)
        return Response(content, media_type="application/json")

    async def _find(self, job: Job, findings: Findings, question: Question, upload: Upload, began: float) -> bytes:
        await asyncio.wrap_future(job.done)
        await asyncio.gather(*map(asyncio.wrap_future, findings.futures))
        seconds = time.monotonic() - began
        return await asyncio.to_thread(
            self.answerer.answer, findings, question, upload.name, upload.path.stem, seconds
        )  # fmt: skip

    def _take_place(self) -> None:
        if self.is_stopping:
            raise RefusalError(503, "the server is stopping", RETRY)
        if self.num_taken >= self.limits.most_requests:
            raise RefusalError(503, f"{self.num_taken} uploads are under way; ask again in a moment", RETRY)
        self.num_taken += 1

    def _leave_place(self) -> None:
        self.num_taken -= 1

    async def show_page(self, request: Request) -> Response:
        headers = {"Content-Security-Policy": self.page.policy}
        return Response(self.page.content, headers=headers, media_type="text/html; charset=utf-8")

    async def tell_health(self, request: Request) -> Response:
        if self.is_stopping:
            return PlainTextResponse("stopping\n", 503, {"Connection": "close"})
        return PlainTextResponse("ready\n")

    async def tell_statistics(self, request: Request) -> Response:
        gauges = {
            "video_queue_length": ("Uploads that wait to be decoded.", self.decoders.num_waiting),
            "video_uploads_under_way": ("Uploads from their first byte to their answer.", self.num_taken),
            "video_network_waiting": ("Decoded batches that wait for the network.", self.network_thread.num_waiting),
        }
        return Response(self.statistics.write(gauges), media_type=CONTENT_TYPE)


def build_app(service: Service) -> Callable:
    """The ASGI application. It raises RefusalError and ClientGoneError, which ``Guard`` makes answers of."""
    routes = {
        "/": ("GET", service.show_page),
        "/classify": ("POST", service.classify),
        "/healthz": ("GET", service.tell_health),
        "/metrics": ("GET", service.tell_statistics),
    }

    async def app(scope: dict, receive: Callable, send: Callable) -> None:
        request = Request(scope, receive, send)
        if scope["path"] not in routes:
            raise RefusalError(404, f"there is no such path; there are {', '.join(routes)}")
        method, answer = routes[scope["path"]]
        if request.method != method and (request.method, method) != ("HEAD", "GET"):
            raise RefusalError(405, f"{scope['path']} takes {method}", headers={"Allow": method})
        response = await answer(request)
        await response(scope, receive, send)

    return app


async def while_connected(request: Request, find: Callable) -> bytes:
    """What a coroutine gives, unless the client goes away before it. Raises ClientGoneError."""
    finding = asyncio.ensure_future(find())
    leaving = asyncio.ensure_future(_wait_for_leaving(request))
    try:
        await asyncio.wait({finding, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not finding.done():
            raise ClientGoneError
        return finding.result()
    finally:
        for task in (finding, leaving):
            task.cancel()
        await asyncio.gather(finding, leaving, return_exceptions=True)


async def _wait_for_leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """From any thread; at the end, when the loop is closed, nobody counts any more."""
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:
        assert loop.is_closed()
