"""What Prometheus reads."""

import re

from tools.serve.statistics import Histogram, Statistics


def test_a_histogram_counts_up_to_each_bound_and_all():
    histogram = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 9):
        histogram.observe(value)
    assert histogram.lines("x") == [
        'x_bucket{le="1"} 2', 'x_bucket{le="2.5"} 3', 'x_bucket{le="+Inf"} 4', "x_sum 12.5", "x_count 4"
    ]  # fmt: skip


def test_every_line_is_of_the_text_format_and_every_name_is_explained_once():
    statistics = Statistics()
    statistics.count_request("/classify", 200, 0.02)
    statistics.count_request("/classify", 503, 0.01)
    statistics.count_batch(3)
    text = statistics.write({"video_queue_length": ("Uploads that wait.", 2)})
    lines = text.splitlines()
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]+"(,[a-z]+="[^"]+")*\})? [\d.]+(e-?\d+)?')
    assert text.endswith("\n")
    assert all(line.startswith("# ") or sample.fullmatch(line) for line in lines)
    named = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert named == [line.split()[2] for line in lines if line.startswith("# HELP ")]
    assert len(named) == len(set(named))
    assert 'video_requests_total{path="/classify",status="503"} 1' in lines
    assert "video_errors_total 1" in lines
    assert "video_queue_length 2" in lines
    assert "video_request_seconds_count 1" in lines
