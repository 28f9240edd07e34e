"""Train a model.

python train.py --model-name=AttentionCluster --config=configs/attention_cluster.txt --save-dir=checkpoints
"""

import time
from dataclasses import asdict, replace
from pathlib import Path

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.loader import Loader
from tools.checkpoint import (
    Checkpoint,
    CheckpointStore,
    Progress,
    fill_optimizer,
    load_checkpoint,
    network_arrays,
    optimizer_arrays,
)
from tools.command_line import add_override, build_parser, parse_count, parse_text, read_config, run
from tools.errors import CheckpointError
from tools.filling import fill_network, own_file
from tools.fluid_training import as_checkpoint
from tools.interrupt import StopRequest
from tools.registry import METRICS, MODELS
from tools.run_log import RunLog, progress_bar
from tools.safe_files import replacing
from tools.start import choose_pretrain, open_dataset, start_paddle
from tools.weight_files import FLUID_FILE, FLUID_FOLDER, load_weights, recognise


def parse_args():
    parser = build_parser(__doc__, section="TRAIN", batch_sections=("TRAIN", "VALID"))
    add = parser.add_argument
    add_override(parser, "--learning-rate", ("TRAIN",), "learning_rate", float, "learning rate at the start")
    add_override(parser, ("--epoch-num", "--epoch"), ("TRAIN",), "epoch", parse_count, "epochs, all told")
    add_override(parser, "--seed", ("TRAIN",), "seed", parse_count, "seed of weights, order, frames and dropout")
    add(
        "--pretrain",
        type=parse_text,
        metavar="PATH",
        help="start from these weights, as --weights takes them; another number of classes skips the classifier",
    )
    add(
        "--resume",
        type=parse_text,
        metavar="PATH",
        help="go on from a checkpoint folder, of 2019 too, or auto: from the latest in --save-dir",
    )
    add("--save-dir", type=parse_text, default="checkpoints", metavar="DIR", help="where checkpoints and logs go")
    add(
        "--save-every", type=parse_count, default=0, metavar="STEPS", help="save inside an epoch too; 0: on Ctrl-C only"
    )
    add("--keep", type=parse_count, default=0, metavar="N", help="finished epochs to keep besides the best; 0: all")
    add("--valid-interval", type=parse_count, default=1, metavar="EPOCHS", help="epochs between validations; 0: none")
    add("--valid-first", action="store_true", help="validate before the first step too, for the score of chance")
    add("--log-interval", type=parse_count, default=10, metavar="STEPS", help="steps between log lines; 0: none")
    add("--no-use-pyreader", action="store_true", help="of 2019: accepted, no effect")
    add("--no-memory-optimize", action="store_true", help="of 2019: accepted, no effect")
    args = parser.parse_args()
    if args.pretrain and args.resume:
        parser.error("--pretrain begins a run and --resume goes on with one; give one of them")
    if args.valid_first and not args.valid_interval:
        parser.error("--valid-first needs validation; --valid-interval 0 turns it off")
    return args


class Training:
    """One run: what its epochs share, and the loop over them."""

    def __init__(self, args, config, store: CheckpointStore, log: RunLog):
        self.args, self.config, self.store, self.log = args, config, store, log
        name, train = store.model_name, config.TRAIN
        options = {"skip_broken": args.skip_broken, "log": log.line}
        train_set = open_dataset(name, config, "TRAIN", training=True, **options)
        valid_set = open_dataset(name, config, "VALID", training=False, **options) if args.valid_interval else None
        self.progress = Progress(train.batch_size, train.seed, len(train_set), train_set.checksum())
        self.begun_at = None  # the checkpoint that --resume found, at the beginning of an epoch
        device = start_paddle(args.threads, args.use_gpu, train.use_gpu, log.line)
        import paddle

        from tools import engine

        self.engine = engine
        options = {"num_workers": train.num_reader_threads, "as_float": device == "cpu"}
        self.train_loader = Loader(train_set, train.batch_size, drop_last=True, seed=train.seed, **options)
        if valid_set:
            self.valid_loader = Loader(valid_set, config.VALID.batch_size, drop_last=False, **options)

        paddle.seed(train.seed)
        recipe = MODELS.get(name)()
        self.network = recipe.build_network(config)
        self.optimizer = recipe.build_optimizer(config, self.network)
        self.schedule = recipe.build_schedule(config, len(self.train_loader))
        for notice in recipe.notices(config, len(train_set)):
            log.line(notice)

    def begin(self) -> None:
        """Start afresh, from --pretrain, or from where --resume left off."""
        args, store = self.args, self.store
        checkpoint = self.find_checkpoint() if args.resume else None
        if checkpoint:
            self.restore(checkpoint)
        elif chosen := choose_pretrain(args, self.config, self.log.line):
            origin, path = chosen
            match = fill_network(self.network, load_weights(path, store.model_name), fine_tune=True)
            for line in match.lines():
                self.log.line(f"{origin} {path}: {line}")
        progress = self.progress
        here = checkpoint and checkpoint.path.resolve().parent == store.save_dir.resolve()
        if moved := store.set_aside(after=(progress.epoch, progress.step) if here else (0, 0)):
            self.log.line(f"checkpoints of an earlier run are now in {moved}")
        if not checkpoint:
            self.log.record("begin")
            return
        if progress.best_score is not None and not store.best_path.exists():
            self.log.line(f"there is no {store.best_path.name} here: the best is looked for anew")
            progress.best_score = progress.best_epoch = None
            progress.validated = False
        if not progress.step and progress.epoch:
            self.begun_at = checkpoint.path if here else self.save()

    def find_checkpoint(self) -> Checkpoint | None:
        """What --resume names; with "auto" the latest that is whole, None where there is none."""
        if self.args.resume != "auto":
            return self.load_checkpoint(Path(self.args.resume))
        for path in self.store.found():
            try:
                return self.load_checkpoint(path)
            except CheckpointError as error:
                self.log.line(f"passed over: {error}")
        self.log.line(f"--resume auto: no whole checkpoint in {self.store.save_dir}, starting from the beginning")
        return None

    def load_checkpoint(self, path: Path) -> Checkpoint:
        name = self.store.model_name
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
                f"{checkpoint.path} stands inside an epoch, where a run can go on only as it was, but "
                f"{changes}; resume from a finished epoch, or with the former settings and data"
            )
        fill_network(self.network, own_file(str(checkpoint.path), checkpoint.weights))
        if checkpoint.optimizer is not None:
            fill_optimizer(self.optimizer, self.network, checkpoint.optimizer, str(checkpoint.path))
        self.progress = replace(saved, **{name: getattr(now, name) for name in settings})
        best = f", best {saved.best_score:.4f} at epoch {saved.best_epoch}" if saved.best_score is not None else ""
        self.log.line(
            f"resumed {checkpoint.path}: weights{', optimizer' * (checkpoint.optimizer is not None)} "
            f"and {saved.steps_taken} steps of the schedule; "
            f"next is epoch {saved.epoch}, iter {saved.step}{best}{'; changed: ' * bool(changed)}{changes}"
        )
        for note in checkpoint.notes:
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
            while self.progress.epoch < self.config.TRAIN.epoch and not stop.signal:
                self.train_epoch(stop)
        if stop.signal:
            self.log.line(f"stopped by {stop.signal.name}; --resume auto goes on from here")
        return stop.exit_code

    def train_epoch(self, stop: StopRequest) -> None:
        progress, args, total = self.progress, self.args, len(self.train_loader)
        meter = METRICS.get(self.store.model_name)(self.config)
        waited = worked = 0.0
        steps = self.engine.train_epoch(
            self.network,
            self.optimizer,
            self.train_loader.epoch(progress.epoch, start=progress.step),
            schedule=self.schedule,
            seed=progress.seed,
            epoch=progress.epoch,
            start=progress.step,
            steps_taken=progress.steps_taken,
        )
        with progress_bar(total, progress.step, f"epoch {progress.epoch}") as bar:
            for step in steps:
                waited, worked = waited + step.data_sec, worked + step.step_sec
                meter.update(step.probs, step.batch.labels, step.loss)
                progress.step, progress.steps_taken = step.number + 1, progress.steps_taken + 1
                elapsed = waited + worked
                bar.set_postfix_str(
                    f"loss {step.loss:.4f}, {meter.num_videos / elapsed:.1f} videos/s, "
                    f"waiting for data {waited / elapsed:.0%}",
                    refresh=False,
                )
                bar.update()
                if args.log_interval and step.number % args.log_interval == 0:
                    self.log_step(step, shown=bar.disable)
                due = args.save_every and progress.step % args.save_every == 0 and progress.step < total
                stopping = stop.signal and progress.step < total  # a whole epoch is saved as such
                if due or stopping:
                    self.save()
                if stopping:
                    return
        self.finish_epoch(meter, waited, worked, stop)

    def finish_epoch(self, meter, waited: float, worked: float, stop: StopRequest) -> None:
        """The epoch's line, its checkpoint, and its validation where one is due."""
        progress, epoch = self.progress, self.progress.epoch
        if meter.num_videos:  # none when a run was stopped after the last step of an epoch
            values = meter.compute(full=False)
            speed = {"videos_per_sec": meter.num_videos / (waited + worked), "data_wait": waited / (waited + worked)}
            self.log.line(
                f"[TRAIN] Epoch {epoch} done, {meter.describe(values)}, {speed['videos_per_sec']:.1f} videos/s, "
                f"waiting for data {speed['data_wait']:.1%}"
            )
            self.log.record("train_epoch", epoch=epoch, **values, **speed)
        progress.epoch, progress.step = epoch + 1, 0
        interval = self.args.valid_interval
        progress.validated = not interval or (epoch + 1) % interval != 0
        path = self.save()
        if not progress.validated:
            self.validate(path, stop)

    def validate(self, path: Path, stop: StopRequest) -> None:
        """Score the weights as they are, those of the checkpoint at ``path``; keep them if they are the best."""
        progress = self.progress
        meter = self.score(f"Epoch {progress.epoch - 1} done", stop)
        if meter is None:
            return
        values = meter.compute()
        paths = [path]
        progress.validated = True
        if progress.best_score is None or values[meter.score] > progress.best_score:
            progress.best_score, progress.best_epoch = values[meter.score], progress.epoch - 1
            # Before the state says that it is done: a run killed in between validates once more.
            paths.append(self.store.set_best(path))
        for place in paths:
            self.store.add_to_state(place, **asdict(progress), valid=values)

    def score(self, title: str, stop: StopRequest):
        """The metrics of the validation data; None when the run was asked to stop meanwhile."""
        meter = METRICS.get(self.store.model_name)(self.config)
        with progress_bar(len(self.valid_loader), 0, "validating") as bar:
            for _ in self.engine.evaluate(self.network, self.valid_loader.epoch(), meter):
                bar.update()
                if stop.signal:
                    return None
        values = meter.compute()
        self.log.line(f"[VALID] {title}, {meter.describe(values)}, {meter.num_videos} videos")
        self.log.record("valid_epoch", epoch=self.progress.epoch - 1, videos=meter.num_videos, **values)
        return meter

    def save(self) -> Path:
        began = time.perf_counter()
        arrays = network_arrays(self.network), optimizer_arrays(self.optimizer, self.network)
        path = self.store.save(*arrays, self.progress)
        self.log.line(f"saved {path} in {time.perf_counter() - began:.1f} s")
        return path

    def log_step(self, step, shown: bool) -> None:
        meter = METRICS.get(self.store.model_name)(self.config)
        meter.update(step.probs, step.batch.labels, step.loss)
        values = meter.compute(full=False)
        epoch = self.progress.epoch
        self.log.line(f"[TRAIN] Epoch {epoch}, iter {step.number:<4}, {meter.describe(values)}", shown)
        self.log.record(
            "train_step",
            epoch=epoch,
            iter=step.number,
            **values,
            learning_rate=step.learning_rate,
            videos_per_sec=len(step.batch) / (step.data_sec + step.step_sec),
            data_sec=step.data_sec,
            step_sec=step.step_sec,
        )


def main() -> int:
    args = parse_args()
    name = MODELS.spelling(args.model_name)
    needs = ["MODEL", "TRAIN"] + ["VALID"] * bool(args.valid_interval)
    config = read_config(args, MODELS.get(name)(), name, needs)
    store = CheckpointStore(args.save_dir, name, args.keep)
    log = RunLog(args.save_dir, f"{name}_train")
    for notice in config.notices:
        log.line(notice)
    for flag in ("no_use_pyreader", "no_memory_optimize"):
        if getattr(args, flag):
            log.line(f"--{flag.replace('_', '-')} has no effect any more")
    training = Training(args, config, store, log)
    training.begin()
    settings = store.save_dir / f"{name}_config.txt"
    try:
        with replacing(settings) as file:
            file.write(config.text().encode())
    except OSError as error:
        raise CheckpointError(f"{settings} could not be written: {error}") from None
    return training.run()


if __name__ == "__main__":
    run(main)
