"""What the server has done, as Prometheus reads it: its text format, version 0.0.4."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """How often values were at most as large as each bound. Not to be shared between threads without a lock."""

    def __init__(self, bounds: Sequence[float]):
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> list[str]:
        total, lines = 0, []
        for bound, count in zip([*map("{:g}".format, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {self._sum!r}", f"{name}_count {total}"]


class Statistics:
    """Counts of one server since its start; safe to call from threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds, self._sizes = Histogram(SECONDS), Histogram(SIZES)
        self._errors = self._gone = self._restarts = 0

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """path: one of those that there are, or "other". seconds: counted of answers to /classify."""
        with self._lock:
            self._requests[path, status] += 1
            self._errors += status >= 500
            if path == "/classify" and status == 200:
                self._seconds.observe(seconds)

    def count_gone(self) -> None:
        with self._lock:
            self._gone += 1

    def count_restart(self) -> None:
        with self._lock:
            self._restarts += 1

    def count_batch(self, size: int) -> None:
        with self._lock:
            self._sizes.observe(size)

    def write(self, gauges: dict[str, tuple[str, int]]) -> str:
        """gauges: name -> (what it is, its value now)."""
        with self._lock:
            requests = [
                f'video_requests_total{{path="{path}",status="{status}"}} {count}'
                for (path, status), count in sorted(self._requests.items())
            ]
            parts = [
                ("video_requests_total", "counter", "Requests by path and status.", requests),
                *(
                    (name, "counter", text, [f"{name} {value}"])
                    for name, text, value in (
                        ("video_errors_total", "Requests that ended with a status of 500 or more.", self._errors),
                        ("video_clients_gone_total", "Clients that went away before their answer.", self._gone),
                        ("video_decoder_restarts_total", "Decoding processes that were replaced.", self._restarts),
                    )
                ),
                ("video_request_seconds", "histogram", "Seconds from a request to its answer, of /classify with 200.",
                 self._seconds.lines("video_request_seconds")),
                ("video_batch_size", "histogram", "Videos, windows or records that the network saw at once.",
                 self._sizes.lines("video_batch_size")),
            ]  # fmt: skip
        parts += [(name, "gauge", text, [f"{name} {value}"]) for name, (text, value) in gauges.items()]
        blocks = [[f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines] for name, kind, text, lines in parts]
        return "".join(f"{line}\n" for lines in blocks for line in lines)
