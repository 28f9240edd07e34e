"""Measure a model's network with several threads and with one: seconds, in turn, in one run."""

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from tools.benchmark.peers import DEFAULT_MODES, Job, Modes, list_tasks, make_job, start_ours
from tools.benchmark.workers import Team


def measure_scaling(
    name: str, config_path: str, *, batch_size: int, repeat: int, threads: int, modes: Modes = DEFAULT_MODES
) -> dict[str, float]:
    """Every figure. batch_size, threads: as of ``measure_against``. Raises PeerError where a process ends."""
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(name, config_path, batch_size, threads, Path(folder), modes)
        jobs = {f"{count} thread{'s' * (count > 1)}": replace(job, threads=count) for count in (1, threads)}
        workers = {title: start_ours(one, one.threads) for title, one in jobs.items()}
        try:
            return compare_threads(job, workers, repeat)
        finally:
            for worker in workers.values():
                worker.close()


def compare_threads(job: Job, workers: dict[str, Team], repeat: int) -> dict[str, float]:
    """Seconds of each task, and how many times as fast the last of the workers is as the first: medians."""
    figures = {}
    for title, task, size in list_tasks(job):
        for worker in workers.values():
            worker.run(task)
        rounds = [{name: worker.run(task).wall for name, worker in workers.items()} for _ in range(repeat)]
        for name in workers:
            median = statistics.median(spent[name] for spent in rounds)
            figures[f"{title}, {name}, ms a video"] = median * 1000 / size
        first, last = workers
        figures[f"{title}, times as fast with {last}"] = statistics.median(one[first] / one[last] for one in rounds)
    return figures
