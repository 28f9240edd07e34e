"""A training run from its beginning, or where one stopped, to its last epoch. Imports Paddle: tune the CPU first."""

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import paddle

from tools.config.load import Config
from tools.distributed.group import ProcessGroup
from tools.distributed.skipped import gather_broken, require_records
from tools.errors import DataError
from tools.inference.mistakes import WorstMistakes
from tools.inference.predict import evaluate
from tools.registry import METRICS
from tools.runtime.cpu import usable_cores
from tools.runtime.log import beside, progress_bar, record_event, restart_files
from tools.runtime.signals import StopRequest
from tools.training.changes import TrainingSettings, find_changes, flags_of, require_unchanged
from tools.training.checkpoint import CheckpointStore, rank_validation
from tools.training.ending import describe_end
from tools.training.frozen import FrozenBackbone
from tools.training.loss_options import build_loss_options
from tools.training.notices import (
    compare_balancing,
    compare_rate,
    compare_unfreezing,
    count_left_out,
    suggest_processes,
)
from tools.training.optimizer_state import optimizer_arrays
from tools.training.options import TrainingOptions
from tools.training.report import RunReport
from tools.training.resume import build_state, find_checkpoint, restore, set_later_aside
from tools.training.step import Step, train_epoch
from tools.training.time_left import TimeLeft, describe_left
from tools.weights.checkpoint_files import network_arrays
from tools.weights.files import load_weights
from tools.weights.loading import load_into_network
from tools.weights.resolve import choose_pretrain

log = logging.getLogger(__name__)


class Trainer:
    """The loop over a run's epochs. Every process of the run goes through the same steps.

    store: of the first process, which alone writes checkpoints. report: the page of the run. valid_loader: None without
    validation.
    """

    def __init__(
        self, name: str, spec, config: Config, options: TrainingOptions, group: ProcessGroup,
        store: CheckpointStore | None, report: RunReport, train_loader, valid_loader,
    ):  # fmt: skip
        self.name, self.config, self.options, self.group, self.store = name, config, options, group, store
        self.report = report
        self.train_loader, self.valid_loader = train_loader, valid_loader
        self.settings = TrainingSettings(
            name, spec, config, flags_of(options, paddle.get_device().partition(":")[0]), len(train_loader)
        )
        self.state = build_state(spec, config, options, train_loader.dataset, group.world)
        self.schedule = spec.build_schedule(config, len(train_loader))
        self.grad_clip = options.grad_clip or spec.gradient_clip(config)
        self.loss_options = build_loss_options(config, options, train_loader.dataset)
        datasets = [loader.dataset for loader in (train_loader, valid_loader) if loader is not None]
        self.frozen = None  # --freeze: the backbone
        if options.freeze:
            seed, ema = config.TRAIN.seed, self.state.ema
            self.frozen = FrozenBackbone(name, self.state.network, options, seed, datasets, ema)
        self.time_left = TimeLeft(len(train_loader), config.TRAIN.epoch, options.valid_interval)
        self.new_metric = lambda: METRICS.get(spec.metrics)(config)
        self.resumed_path = None  # the checkpoint that --resume found, where it ends an epoch
        num_records, batch_size = len(train_loader.dataset), config.TRAIN.batch_size
        left_out = count_left_out(num_records, batch_size, group.world * options.accumulate)
        if config.TRAIN.sampling == "balanced":  # which draws as many as fill the batches
            left_out = []
        self.notices = [
            *spec.notices(config, num_records),
            *compare_rate(config),
            *compare_balancing(config),
            *compare_unfreezing(config, options.unfreeze_at),
            *left_out,
        ]
        if group.world == 1 and spec.data == "clips" and paddle.get_device() == "cpu" and not options.freeze:
            self.notices += suggest_processes(name, usable_cores(), options.conv_engine)
        log_lines(self.notices)

    def begin(self) -> None:
        """Start from random weights, from --pretrain, or from where --resume left off."""
        options, group, state = self.options, self.group, self.state
        require_same_command(
            group,
            options,
            self.config,
            data=state.progress.data,
            loss={name: np.asarray(value).tolist() for name, value in self.loss_options.items()},
            validation=None if self.valid_loader is None else self.valid_loader.dataset.checksum(),
        )
        checkpoint = None
        if options.resume:
            steps = len(self.train_loader)
            checkpoint = find_checkpoint(options.resume, self.name, state, steps, group, self.store)
        if checkpoint:
            changes = find_changes(checkpoint, state.progress, self.settings)
            if not options.resume_changed:
                require_unchanged(checkpoint, changes)
            restore(state, checkpoint, changes, self.new_metric(), self.frozen)
            self.notices += changes.lines()
        else:
            initialised = self.load_pretrained()
            if self.frozen:
                lines = self.frozen.describe_start(initialised)
                self.notices += lines
                log_lines(lines)
        if state.ema and not (checkpoint and checkpoint.averaged):
            state.ema.restart()
        group.require_same(weights=state.checksum(), progress=(state.progress.epoch, state.progress.step))
        if self.frozen:
            self.frozen.set_for(state.progress.epoch)
        here = checkpoint and checkpoint.path.resolve().parent == Path(options.save_dir).resolve()
        state.progress = group.broadcast(lambda: set_later_aside(state, self.store, checkpoint, here))
        restart_files()
        if checkpoint and state.progress.epoch and not state.progress.step:
            self.resumed_path = checkpoint.path if here else self.save()
        loaders = {"TRAIN": self.train_loader} | ({} if self.valid_loader is None else {"VALID": self.valid_loader})
        self.report.begin(
            resumed=checkpoint and str(checkpoint.path),
            processes=group.world,
            steps=len(self.train_loader),
            datasets={section: loader.dataset for section, loader in loaders.items()},
            notices=self.notices,
        )

    def load_pretrained(self) -> list[str]:
        """Take the weights that --pretrain or the config names, if one does; the names of all that stays at random."""
        options, network = self.options, self.state.network
        chosen = choose_pretrain(
            options.pretrain, self.config, weights_dir=options.weights_dir, offline=options.offline
        )
        if not chosen:
            return [*network.state_dict()]
        origin, path = chosen
        match = load_into_network(network, load_weights(path, self.name), fine_tune=True)
        log_lines(f"{origin} {path}: {line}" for line in match.lines())
        return match.initialised

    def run(self) -> int:
        """Train to the last epoch; return the exit code."""
        epochs, early = self.config.TRAIN.epoch, False
        with StopRequest() as stop:
            if self.state.progress.epoch >= epochs and self.state.progress.validated:
                log.info(f"nothing left to do: {self.state.progress.epoch} of {epochs} epochs are done")
            if not self.state.progress.validated and self.resumed_path and self.options.valid_interval:
                self.validate(self.resumed_path, stop)
            if self.options.valid_first and not self.state.progress.steps_taken:
                self.score("before training", stop)
                self.report.write()
            while self.state.progress.epoch < epochs and not agree_to_stop(self.group, stop):
                if early := self.has_stopped_improving():
                    break
                self.train_epoch(stop)
            stopped = agree_to_stop(self.group, stop)
        if stopped:
            log.info(f"stopped by {stop.signal.name}; --resume auto resumes from here")
        self.report.end(f"stopped by {stop.signal.name}" if stopped else "early stop" if early else "finished")
        return stop.exit_code if stopped else 0

    def describe_end(self, settings: Path) -> list[str]:
        """Lines on what a finished run leaves; in the first process. settings: where its config was written."""
        config_path = settings if "TEST" in self.config else None
        return [*self.report.describe(), *describe_end(self.store, self.state.progress, self.new_metric(), config_path)]

    def has_stopped_improving(self) -> bool:
        """Whether --early-stop ends the run here; says so."""
        progress, patience = self.state.progress, self.options.early_stop
        if not patience or progress.validations_since_best < patience:
            return False
        log.info(
            f"early stop: no better {self.new_metric().score} in {progress.validations_since_best} validations; "
            f"{progress.epoch} of {self.config.TRAIN.epoch} epochs are done"
        )
        return True

    def train_epoch(self, stop: StopRequest) -> None:
        state, progress, options, total = self.state, self.state.progress, self.options, len(self.train_loader)
        begun = progress.step
        metric = self.new_metric()
        videos, waited, worked = 0, 0.0, 0.0
        network, prepare = state.network, None
        if self.frozen:
            self.frozen.set_for(progress.epoch)
            network, prepare = self.frozen.network, self.frozen.describe
        steps = train_epoch(
            network,
            state.optimizer,
            self.train_loader.epoch(progress.epoch, start=progress.step),
            schedule=self.schedule,
            seed=progress.seed,
            epoch=progress.epoch,
            start=progress.step,
            steps_taken=progress.steps_taken,
            group=self.group,
            amp=state.amp,
            grad_clip=self.grad_clip,
            loss_options=self.loss_options,
            prepare=prepare,
        )
        title = f"epoch {progress.epoch + 1} of {self.config.TRAIN.epoch}"
        began = time.perf_counter()
        with progress_bar(total, progress.step, title, shown=self.group.is_first) as bar:
            bar.facts = describe_left(self.time_left.estimate(progress.epoch, progress.step))
            bar.refresh()
            for step in steps:
                videos, waited, worked = videos + step.num_videos, waited + step.data_sec, worked + step.step_sec
                count(metric, step)
                progress.step, progress.steps_taken = step.number + 1, progress.steps_taken + 1
                if state.ema and step.num_videos:
                    state.ema.update(progress.steps_taken)
                now = time.perf_counter()
                self.time_left.add("step", now - began)
                began, elapsed = now, waited + worked
                left = self.time_left.estimate(progress.epoch, progress.step)
                bar.facts = [*describe_left(left), f"loss {step.loss:.4f}"]
                bar.details = [f"{videos / elapsed:.1f} videos/s", f"waiting for data {100 * waited / elapsed:.0f} %"]
                bar.update()
                if options.log_interval and step.number % options.log_interval == 0:
                    self.log_step(step, level=beside(bar))
                due = options.save_every and progress.step % options.save_every == 0 and progress.step < total
                stopping = agree_to_stop(self.group, stop) and progress.step < total  # a whole epoch is saved as such
                if due or stopping:
                    self.save()
                if stopping:
                    return
        if not begun and not videos:
            raise DataError(f"none of the videos of epoch {progress.epoch} can be read")
        self.finish_epoch(metric, videos, waited, worked, stop)

    def finish_epoch(self, metric, videos: int, waited: float, worked: float, stop: StopRequest) -> None:
        """The epoch's line, its checkpoint, and its validation where one is due."""
        progress, epoch = self.state.progress, self.state.progress.epoch
        self.group.merge(metric)
        if self.group.is_first and metric.num_videos:  # none where no clip of the steps since a resume can be read
            values = metric.compute(full=False)
            speed = {"videos_per_sec": videos / (waited + worked), "data_wait": waited / (waited + worked)}
            log.info(
                f"[TRAIN] Epoch {epoch} done, {metric.describe(values)}, {speed['videos_per_sec']:.1f} videos/s, "
                f"waiting for data {100 * speed['data_wait']:.1f} %"
            )
            record_event("train_epoch", epoch=epoch, **values, **speed)
        progress.epoch, progress.step = epoch + 1, 0
        interval = self.options.valid_interval
        progress.validated = not interval or (epoch + 1) % interval != 0
        began = time.perf_counter()
        path = self.save()
        self.time_left.add("save", time.perf_counter() - began)
        broken = gather_broken(self.group, self.train_loader.dataset, self.options.skip_broken)
        self.report.skipped("TRAIN", broken)
        if not progress.validated:
            self.validate(path, stop)
        if not interval:
            self.report.write()

    def validate(self, path: Path, stop: StopRequest) -> None:
        """Score the weights as they are, those of the checkpoint at ``path``; keep them if they are the best."""
        progress, began = self.state.progress, time.perf_counter()
        title = f"Epoch {progress.epoch - 1} done"
        values = self.score(title, stop)
        if values and self.state.ema:
            with self.state.ema.in_place():
                values = self.score(f"{title}, averaged weights", stop, averaged=True)
        if not values:
            return
        self.time_left.add("validation", time.perf_counter() - began)
        progress.validated = True
        score, loss, best = values[self.new_metric().score], values.get("loss"), progress.best_score
        progress.validations_since_best = 0 if best is None or score > best else progress.validations_since_best + 1
        is_best = best is None or rank_validation(score, loss) > rank_validation(best, progress.best_loss)
        if is_best:
            progress.best_score, progress.best_epoch = score, progress.epoch - 1
            progress.best_loss = loss if loss is not None and math.isfinite(loss) else None
        if self.group.is_first:
            facts = asdict(progress) | {"valid": values}
            if is_best:  # before the state says that it is done: a run killed in between validates once more
                self.store.set_best(path, **facts)
            self.store.add_to_state(path, **facts)
        self.report.write()

    def score(self, title: str, stop: StopRequest, **facts) -> dict[str, float] | None:
        """The scores of the validation data; None when the run was asked to stop meanwhile.

        facts: for the record of it, besides the scores.
        """
        metric, worst = self.new_metric(), WorstMistakes()
        progress, total = self.state.progress, len(self.valid_loader)
        left = self.time_left.estimate(progress.epoch, progress.step)
        epoch = f"epoch {progress.epoch} of {self.config.TRAIN.epoch}, " if progress.epoch else ""
        began = time.perf_counter()
        with progress_bar(total, 0, f"{epoch}validating", shown=self.group.is_first) as bar:
            bar.facts = describe_left(left)
            bar.refresh()
            network, batches = self.state.network, self.valid_loader.epoch()
            if self.frozen:
                network, batches = self.frozen.network, self.frozen.describe(batches)
            predictions = evaluate(network, batches, metric)
            for done, prediction in enumerate(predictions, start=1):
                worst.add(prediction, metric.margins(prediction.probs, prediction.batch.labels))
                of_this = (time.perf_counter() - began) * (total - done) / done
                bar.facts = describe_left(of_this + (left or 0))
                bar.update()
                if stop.signal:
                    break
        if agree_to_stop(self.group, stop):
            return None
        self.group.merge(metric)
        self.group.merge(worst)
        broken = gather_broken(self.group, self.valid_loader.dataset, self.options.skip_broken)
        self.report.skipped("VALID", broken)
        values, videos = self.group.broadcast(lambda: self.compute_scores(metric))
        log.info(f"[VALID] {title}, {metric.describe(values)}, {videos} videos")
        epoch = self.state.progress.epoch - 1
        record_event("valid_epoch", epoch=epoch, **facts, videos=videos, **values)
        self.report.keep(metric, worst, self.valid_loader.dataset, epoch=epoch, **facts)
        return values

    def compute_scores(self, metric) -> tuple[dict[str, float], int]:
        """Those of the validation data, of so many videos. Raises DataError where none can be read."""
        require_records(metric.num_videos, self.valid_loader.dataset)
        return metric.compute(), metric.num_videos

    def save(self) -> Path:
        """Write a checkpoint; the other processes wait for it."""
        return self.group.broadcast(self.write_checkpoint)

    def write_checkpoint(self) -> Path:
        state, began = self.state, time.perf_counter()
        state.progress.loss_scaling = state.amp.state()
        arrays = network_arrays(state.network), optimizer_arrays(state.optimizer, state.network)
        path = self.store.save(*arrays, state.progress, state.ema and state.ema.arrays(), self.settings.flags)
        log.info(f"saved {path} in {time.perf_counter() - began:.1f} s")
        return path

    def log_step(self, step: Step, level: int) -> None:
        epoch = self.state.progress.epoch
        if not step.num_videos:
            log.log(level, f"[TRAIN] Epoch {epoch}, iter {step.number:<4}, none of its videos can be read")
            return
        metric = self.new_metric()
        count(metric, step)
        self.group.merge(metric)
        if not self.group.is_first:
            return
        values = metric.compute(full=False)
        log.log(level, f"[TRAIN] Epoch {epoch}, iter {step.number:<4}, {metric.describe(values)}")
        record_event(
            "train_step",
            epoch=epoch,
            iter=step.number,
            **values,
            learning_rate=step.learning_rate,
            videos_per_sec=step.num_videos / (step.data_sec + step.step_sec),
            data_sec=step.data_sec,
            step_sec=step.step_sec,
            steps_taken=self.state.progress.steps_taken,
        )


def require_same_command(group: ProcessGroup, options: TrainingOptions, config: Config, **facts) -> None:
    """Raise ConfigError where the processes would not take the same steps, or not see the same in them."""
    group.require_same(**options.shared(), config=config.text(), **facts, Paddle=paddle.__version__)


def agree_to_stop(group: ProcessGroup, stop: StopRequest) -> bool:
    """Whether any process was asked to stop; all of them take it as asked of themselves."""
    agreed = next(filter(None, group.all_gather(stop.signal)), None)
    if agreed:  # or else this one may have heard something meanwhile, for the next time
        stop.signal = agreed
    return agreed is not None


def log_lines(lines: Iterable[str]) -> None:
    for line in lines:
        log.info(line)


def count(metric, step: Step) -> None:
    """Let the metric count a step's batches."""
    for part in step.predictions:
        metric.update(part.probs, part.batch.labels, part.loss)
