"""A training run from its beginning, or where one stopped, to its last epoch. Imports Paddle: tune the CPU first."""

import time
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import paddle

from tools.distributed.group import ProcessGroup
from tools.errors import CheckpointError, DataError
from tools.registry import METRICS, MODELS
from tools.run_setup import choose_pretrain, gather_broken, require_records
from tools.runtime.log import RunLog, progress_bar
from tools.runtime.signals import StopRequest
from tools.training.amp import MixedPrecision
from tools.training.checkpoint import (
    Checkpoint,
    CheckpointStore,
    Progress,
    load_checkpoint,
    load_into_optimizer,
    network_arrays,
    optimizer_arrays,
)
from tools.training.ema import ExponentialMovingAverage
from tools.training.fluid_checkpoint import as_checkpoint
from tools.training.step import Step, evaluate, train_epoch
from tools.weights.files import FLUID_FILE, FLUID_FOLDER, load_weights, recognise
from tools.weights.loading import load_into_network, own_file

# Flags of places, of the machine, and of what the config says in the end: the processes of a run may have their own.
_OWN_FLAGS = {"config", "set", "overrides", "pretrain", "resume", "save_dir", "weights_dir", "offline", "keep"}
_OWN_FLAGS |= {"threads", "nproc", "use_gpu"}


class Training:
    """One run: what its epochs share, and the loop over them. Every process of the run goes through the same steps."""

    def __init__(
        self,
        args,
        config,
        spec,
        log: RunLog,
        store: CheckpointStore | None,
        group: ProcessGroup,
        train_loader,
        valid_loader,
    ):
        """store: of the first process, which alone writes checkpoints. valid_loader: None without validation."""
        self.args, self.config, self.log, self.store, self.group = args, config, log, store, group
        self.train_loader, self.valid_loader = train_loader, valid_loader
        self.name = MODELS.canonical_name(args.model_name)
        train, dataset = config.TRAIN, train_loader.dataset
        self.progress = Progress(train.batch_size, train.seed, len(dataset), dataset.checksum(), world=group.world)
        self.begun_at = None  # the checkpoint that --resume found, at the beginning of an epoch
        paddle.seed(train.seed)
        self.network = spec.build_network(config)
        if args.sync_bn:
            self.network = paddle.nn.SyncBatchNorm.convert_sync_batchnorm(self.network)
        self.optimizer = spec.build_optimizer(config, self.network)
        self.schedule = spec.build_schedule(config, len(train_loader))
        self.average = ExponentialMovingAverage(self.network, args.ema) if args.ema else None
        self.precision = MixedPrecision(args.amp)
        self.grad_clip = args.grad_clip or spec.gradient_clip(config)
        for notice in spec.notices(config, len(dataset)):
            log.line(notice)

    def begin(self) -> None:
        """Start afresh, from --pretrain, or from where --resume left off."""
        args = self.args
        self.require_same_command()
        checkpoint = self.find_checkpoint() if args.resume else None
        if checkpoint:
            self.restore(checkpoint)
        elif chosen := choose_pretrain(args, self.config, self.log.line):
            origin, path = chosen
            match = load_into_network(self.network, load_weights(path, self.name), fine_tune=True)
            for line in match.lines():
                self.log.line(f"{origin} {path}: {line}")
        if self.average and not (checkpoint and checkpoint.averaged):
            self.average.restart()
        self.group.require_same(weights=self.checksum(), progress=(self.progress.epoch, self.progress.step))
        here = checkpoint and checkpoint.path.resolve().parent == Path(args.save_dir).resolve()
        self.progress = self.group.broadcast(lambda: self.make_room(checkpoint, here))
        progress = self.progress
        if checkpoint and progress.epoch and not progress.step:
            self.begun_at = checkpoint.path if here else self.save()

    def require_same_command(self) -> None:
        """Raise ConfigError where the processes would not take the same steps, or not see the same in them."""
        flags = {name: value for name, value in vars(self.args).items() if name not in _OWN_FLAGS}
        self.group.require_same(
            **{f"--{name.replace('_', '-')}": value for name, value in flags.items()},
            **{"--resume auto": self.args.resume == "auto"},
            config=self.config.text(),
            data=self.progress.data,
            validation=self.valid_loader and self.valid_loader.dataset.checksum(),
            Paddle=paddle.__version__,
        )

    def make_room(self, checkpoint: Checkpoint | None, here: bool) -> Progress:
        """Move aside what an earlier run left in save_dir behind the place where this one begins."""
        progress, store = self.progress, self.store
        if moved := store.set_aside(after=(progress.epoch, progress.step) if here else (0, 0)):
            self.log.line(f"checkpoints of an earlier run are now in {moved}")
        if not checkpoint:
            self.log.record("begin")
        elif progress.best_score is not None and not store.best_path.exists():
            self.log.line(f"there is no {store.best_path.name} here: the best is looked for anew")
            progress.best_score = progress.best_epoch = None
            progress.validated = False
        return progress

    def checksum(self) -> int:
        """Of the weights."""
        checksum = 0
        for array in network_arrays(self.network).values():
            checksum = zlib.crc32(array.tobytes(), checksum)
        return checksum

    def find_checkpoint(self) -> Checkpoint | None:
        """What --resume names; with "auto" the latest that is whole, None where there is none."""
        if self.args.resume != "auto":
            return self.load_checkpoint(Path(self.args.resume))
        checkpoint = self.find_latest() if self.group.is_first else None
        path = self.group.broadcast(lambda: checkpoint and checkpoint.path)
        return self.load_checkpoint(path) if path and not checkpoint else checkpoint

    def find_latest(self) -> Checkpoint | None:
        for path in self.store.found():
            try:
                return self.load_checkpoint(path)
            except CheckpointError as error:
                self.log.line(f"skipped: {error}")
        self.log.line(f"--resume auto: no whole checkpoint in {self.store.save_dir}, starting from the beginning")
        return None

    def load_checkpoint(self, path: Path) -> Checkpoint:
        name = self.name
        if recognise(str(path), name) not in (FLUID_FOLDER, FLUID_FILE):
            return load_checkpoint(path, name)
        file, steps = load_weights(str(path), name), len(self.train_loader)
        return as_checkpoint(file, self.network, self.optimizer, self.progress, steps, name)

    def restore(self, checkpoint: Checkpoint) -> None:
        saved, now = checkpoint.progress, self.progress
        settings = ("batch_size", "seed", "records", "data")
        changed = [name for name in settings if getattr(saved, name) != getattr(now, name)]
        changes = ", ".join(f"{name} {getattr(saved, name)} -> {getattr(now, name)}" for name in changed)
        if changed and saved.step:
            raise CheckpointError(
                f"{checkpoint.path} stands inside an epoch, where a run can resume only as it was, but "
                f"{changes}; resume from a finished epoch, or with the former settings and data"
            )
        load_into_network(self.network, own_file(str(checkpoint.path), checkpoint.weights))
        if checkpoint.optimizer is not None:
            load_into_optimizer(self.optimizer, self.network, checkpoint.optimizer, str(checkpoint.path))
        if self.average and checkpoint.averaged:
            self.average.restore(checkpoint.averaged, str(checkpoint.path))
        self.precision.restore(saved.loss_scaling)
        self.progress = replace(saved, **{name: getattr(now, name) for name in (*settings, "world")})
        best = f", best {saved.best_score:.4f} at epoch {saved.best_epoch}" if saved.best_score is not None else ""
        self.log.line(
            f"resumed {checkpoint.path}: weights{', optimizer' * (checkpoint.optimizer is not None)} "
            f"and {saved.steps_taken} steps of the schedule; "
            f"next is epoch {saved.epoch}, iter {saved.step}{best}{'; changed: ' * bool(changed)}{changes}"
        )
        notes = [*checkpoint.notes]
        if saved.world != now.world and saved.step:
            notes.append(
                f"the number of processes was {saved.world} and is {now.world} now: of this epoch's records some "
                "may come twice and as many not at all"
            )
        if self.average and not checkpoint.averaged:
            notes.append("it holds no averaged weights: they begin with these")
        if checkpoint.averaged and not self.average:
            notes.append("its averaged weights are not kept on without --ema")
        for note in notes:
            self.log.line(f"resumed {checkpoint.path}: {note}")

    def run(self) -> int:
        """Train to the last epoch; return the exit code."""
        with StopRequest() as stop:
            if self.progress.epoch >= self.config.TRAIN.epoch and self.progress.validated:
                self.log.line(f"nothing left to do: {self.progress.epoch} of {self.config.TRAIN.epoch} epochs are done")
            if not self.progress.validated and self.begun_at and self.args.valid_interval:
                self.validate(self.begun_at, stop)
            if self.args.valid_first and not self.progress.steps_taken:
                self.score("before training", stop)
            while self.progress.epoch < self.config.TRAIN.epoch and not self.agree_to_stop(stop):
                self.train_epoch(stop)
            stopped = self.agree_to_stop(stop)
        if stopped:
            self.log.line(f"stopped by {stop.signal.name}; --resume auto resumes from here")
        return stop.exit_code if stopped else 0

    def agree_to_stop(self, stop: StopRequest) -> bool:
        """Whether any process was asked to stop; all of them take it as asked of themselves."""
        agreed = next(filter(None, self.group.all_gather(stop.signal)), None)
        if agreed:  # or else this one may have heard something meanwhile, for the next time
            stop.signal = agreed
        return agreed is not None

    def train_epoch(self, stop: StopRequest) -> None:
        progress, args, total = self.progress, self.args, len(self.train_loader)
        begun = progress.step
        metric = self.new_metric()
        videos, waited, worked = 0, 0.0, 0.0
        steps = train_epoch(
            self.network,
            self.optimizer,
            self.train_loader.epoch(progress.epoch, start=progress.step),
            schedule=self.schedule,
            seed=progress.seed,
            epoch=progress.epoch,
            start=progress.step,
            steps_taken=progress.steps_taken,
            group=self.group,
            precision=self.precision,
            grad_clip=self.grad_clip,
        )
        with progress_bar(total, progress.step, f"epoch {progress.epoch}", shown=self.group.is_first) as bar:
            for step in steps:
                videos, waited, worked = videos + step.num_videos, waited + step.data_sec, worked + step.step_sec
                count(metric, step)
                progress.step, progress.steps_taken = step.number + 1, progress.steps_taken + 1
                if self.average and step.num_videos:
                    self.average.update(progress.steps_taken)
                elapsed = waited + worked
                bar.set_postfix_str(
                    f"loss {step.loss:.4f}, {videos / elapsed:.1f} videos/s, waiting for data {waited / elapsed:.0%}",
                    refresh=False,
                )
                bar.update()
                if args.log_interval and step.number % args.log_interval == 0:
                    self.log_step(step, shown=bar.disable)
                due = args.save_every and progress.step % args.save_every == 0 and progress.step < total
                stopping = self.agree_to_stop(stop) and progress.step < total  # a whole epoch is saved as such
                if due or stopping:
                    self.save()
                if stopping:
                    return
        if not begun and not videos:
            raise DataError(f"none of the videos of epoch {progress.epoch} can be read")
        self.finish_epoch(metric, videos, waited, worked, stop)

    def finish_epoch(self, metric, videos: int, waited: float, worked: float, stop: StopRequest) -> None:
        """The epoch's line, its checkpoint, and its validation where one is due."""
        progress, epoch = self.progress, self.progress.epoch
        self.group.merge(metric)
        if self.group.is_first and metric.num_videos:  # none where no clip of the steps since a resume can be read
            values = metric.compute(full=False)
            speed = {"videos_per_sec": videos / (waited + worked), "data_wait": waited / (waited + worked)}
            self.log.line(
                f"[TRAIN] Epoch {epoch} done, {metric.describe(values)}, {speed['videos_per_sec']:.1f} videos/s, "
                f"waiting for data {speed['data_wait']:.1%}"
            )
            self.log.record("train_epoch", epoch=epoch, **values, **speed)
        progress.epoch, progress.step = epoch + 1, 0
        interval = self.args.valid_interval
        progress.validated = not interval or (epoch + 1) % interval != 0
        path = self.save()
        gather_broken(self.group, self.train_loader.dataset, self.args.skip_broken)
        if not progress.validated:
            self.validate(path, stop)

    def validate(self, path: Path, stop: StopRequest) -> None:
        """Score the weights as they are, those of the checkpoint at ``path``; keep them if they are the best."""
        progress = self.progress
        title = f"Epoch {progress.epoch - 1} done"
        values = self.score(title, stop)
        if values and self.average:
            with self.average.in_place():
                values = self.score(f"{title}, averaged weights", stop, averaged=True)
        if not values:
            return
        paths = [path]
        progress.validated = True
        score = values[METRICS.get(MODELS.get(self.name).metrics)(self.config).score]
        is_best = progress.best_score is None or score > progress.best_score
        if is_best:
            progress.best_score, progress.best_epoch = score, progress.epoch - 1
        if self.group.is_first:
            # Before the state says that it is done: a run killed in between validates once more.
            paths += [self.store.set_best(path)] if is_best else []
            for place in paths:
                self.store.add_to_state(place, **asdict(progress), valid=values)

    def score(self, title: str, stop: StopRequest, **facts) -> dict[str, float] | None:
        """The scores of the validation data; None when the run was asked to stop meanwhile.

        facts: for the record of it, besides the scores.
        """
        metric = self.new_metric()
        with progress_bar(len(self.valid_loader), 0, "validating", shown=self.group.is_first) as bar:
            for _ in evaluate(self.network, self.valid_loader.epoch(), metric):
                bar.update()
                if stop.signal:
                    break
        if self.agree_to_stop(stop):
            return None
        self.group.merge(metric)
        gather_broken(self.group, self.valid_loader.dataset, self.args.skip_broken)
        values, videos = self.group.broadcast(lambda: self.compute(metric))
        self.log.line(f"[VALID] {title}, {metric.describe(values)}, {videos} videos")
        self.log.record("valid_epoch", epoch=self.progress.epoch - 1, **facts, videos=videos, **values)
        return values

    def compute(self, metric) -> tuple[dict[str, float], int]:
        require_records(metric.num_videos, self.valid_loader.dataset)
        return metric.compute(), metric.num_videos

    def save(self) -> Path:
        """Write a checkpoint; the other processes wait for it."""
        return self.group.broadcast(self.write)

    def write(self) -> Path:
        began = time.perf_counter()
        self.progress.loss_scaling = self.precision.state()
        arrays = network_arrays(self.network), optimizer_arrays(self.optimizer, self.network)
        path = self.store.save(*arrays, self.progress, self.average and self.average.arrays())
        self.log.line(f"saved {path} in {time.perf_counter() - began:.1f} s")
        return path

    def log_step(self, step: Step, shown: bool) -> None:
        epoch = self.progress.epoch
        if not step.num_videos:
            self.log.line(f"[TRAIN] Epoch {epoch}, iter {step.number:<4}, none of its videos can be read", shown)
            return
        metric = self.new_metric()
        count(metric, step)
        self.group.merge(metric)
        if not self.group.is_first:
            return
        values = metric.compute(full=False)
        self.log.line(f"[TRAIN] Epoch {epoch}, iter {step.number:<4}, {metric.describe(values)}", shown)
        self.log.record(
            "train_step",
            epoch=epoch,
            iter=step.number,
            **values,
            learning_rate=step.learning_rate,
            videos_per_sec=step.num_videos / (step.data_sec + step.step_sec),
            data_sec=step.data_sec,
            step_sec=step.step_sec,
        )

    def new_metric(self):
        return METRICS.get(MODELS.get(self.name).metrics)(self.config)


def count(metric, step: Step) -> None:
    """Let the metrics count a step's batches."""
    for part in step.predictions:
        metric.update(part.probs, part.batch.labels, part.loss)
