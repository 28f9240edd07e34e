"""Check the config, data, weights and machine of a training, and say what would stop or spoil it.

python -m tools.doctor --config configs/tsn.txt [--section TRAIN] [--deep] [--json FILE] [--write-clean-list OUT]

Takes the flags of train.py that change what is read. Without --deep, clips are judged by their lists and by the
beginnings and ends of their files, and YouTube-8M files by the index that training makes and keeps beside the list.
--deep reads every record and decodes every clip. Exit code 1 where training would fail, or reading what --section
names.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import json
from collections.abc import Iterator
from contextlib import contextmanager

import models  # noqa: F401  (registers the specs)
from tools.config.flags import add_run_flags, parse_text, read_run_options, whole_number
from tools.config.parser import Group, make_parser
from tools.doctor.clean_list import write_clean_lists
from tools.doctor.examination import SECTIONS, examine
from tools.doctor.options import DoctorOptions
from tools.doctor.text import format_report
from tools.errors import DataError
from tools.files.atomic import atomic_write, require_writable
from tools.runtime.entry import run_program
from tools.runtime.tables import Table
from tools.runtime.text import escape_controls


def parse_args(arguments: list[str] | None = None) -> DoctorOptions:
    """arguments: those of the command line unless given."""
    parser = make_parser(__doc__, prog="python -m tools.doctor")
    add_run_flags(parser, sections=("TRAIN", "VALID"))
    count, add = whole_number(), parser.group(Group.TASK).add_argument
    add(
        "--section",
        action="append",
        type=str.upper,
        choices=SECTIONS,
        help="look at this section's list alone; may be repeated; default: all there are, of which those that "
        "training reads decide the exit code",
    )
    add("--deep", action="store_true", help="read every record and decode every clip")
    output = parser.group(Group.OUTPUT).add_argument
    output("--json", type=parse_text, metavar="FILE", help="write everything found as JSON; - for standard output")
    output(
        "--write-clean-list",
        type=parse_text,
        metavar="OUT",
        help="write the list without the lines that cannot be used; a folder where several sections are looked at",
    )
    model = parser.group(Group.MODEL).add_argument
    model("--weights", type=parse_text, metavar="PATH", help="weights to try, as test.py takes them")
    model("--pretrain", type=parse_text, metavar="PATH", help="weights to try, as train.py takes them")
    add = parser.group(Group.SAVING).add_argument
    add("--save-dir", type=parse_text, default="checkpoints", metavar="DIR", help="where checkpoints would go")
    parser.group(Group.LEARNING).add_argument(
        "--accumulate",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="micro-batches that a process computes a batch in",
    )
    add("--keep", type=count, default=0, metavar="N", help="finished epochs to keep besides the best; 0: all")
    add(
        "--valid-interval",
        type=count,
        default=1,
        metavar="EPOCHS",
        help="epochs between validations; 0: training reads no [VALID]",
    )
    args = parser.parse_args(arguments)
    if not args.config and not args.model_name:
        parser.error("give --config, or --model-name for a model's own config")
    return DoctorOptions(
        read_run_options(args),
        sections=tuple(dict.fromkeys(args.section or ())),
        deep=args.deep,
        json=args.json,
        write_clean_list=args.write_clean_list,
        weights=args.weights,
        pretrain=args.pretrain,
        save_dir=args.save_dir,
        accumulate=args.accumulate,
        keep=args.keep,
        valid_interval=args.valid_interval,
    )


def main() -> int:
    options = parse_args()
    json_path = Path(options.json) if options.json and options.json != "-" else None
    if json_path:
        with _writing_json(json_path):
            require_writable(json_path)
    examination = examine(options)
    report = examination.report
    text = json.dumps(report, indent=1)
    print(Table(text) if options.json == "-" else format_report(report))
    if json_path:
        with _writing_json(json_path), atomic_write(json_path) as file:
            file.write(text.encode())
    if options.write_clean_list:
        for line in write_clean_lists(examination.sections, examination.clean_lists):
            print(escape_controls(line), file=sys.stderr)
    return int(report["verdict"]["fails"])


@contextmanager
def _writing_json(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"--json {path} cannot be written: {error}") from None


if __name__ == "__main__":
    run_program(main)
