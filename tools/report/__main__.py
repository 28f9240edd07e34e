"""Make a page of training runs: several side by side, or one from what it has left.

python -m tools.report checkpoints/first checkpoints/second
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import metrics  # noqa: F401  (registers them)
import models  # noqa: F401
from tools.config.flags import parse_text
from tools.config.parser import Group, make_parser
from tools.errors import ConfigError, DataError
from tools.registry import MODELS
from tools.report.comparison import build_comparison
from tools.runtime.entry import run_program
from tools.runtime.text import printable
from tools.training.run_files import NUMBERS, RunFiles, find_models, load_run

OUTPUT = "runs_report.html"


def find_run(path: Path, model_name: str | None) -> RunFiles:
    """The run in a folder, or of a .jsonl. model_name: which one, None where there is no choice. Raises DataError."""
    if path.name.endswith(NUMBERS) and path.is_file():
        return RunFiles(path.parent, MODELS.canonical_name(path.name.removesuffix(NUMBERS)))
    if not path.is_dir():
        what = "is no folder" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}; a run is the --save-dir of train.py, or its {{model}}{NUMBERS}")
    found = find_models(path)
    if not found:
        raise DataError(f"{path} holds no training run: no {{model}}{NUMBERS}, which train.py leaves in its --save-dir")
    if model_name is None and len(found) > 1:
        raise ConfigError(
            f"{path} holds runs of {', '.join(found)}; choose one with --model-name, or name its {NUMBERS}"
        )
    name = found[0] if model_name is None else MODELS.canonical_name(model_name)
    if name not in found:
        raise DataError(f"{path} holds no run of {name}; it holds {', '.join(found)}")
    return RunFiles(path, name)


def choose_output(given: str | None, files: list[RunFiles]) -> Path:
    """Where the page goes. Raises as ``require_place``."""
    from tools.pages.page import require_place

    path = Path(given) if given else files[0].page if len(files) == 1 else Path(OUTPUT)
    require_place(path, "--output")
    return path


def main() -> None:
    parser = make_parser(__doc__, prog="python -m tools.report")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="the --save-dir of train.py")
    add = parser.group(Group.MODEL).add_argument
    add("--model-name", type=parse_text, metavar="NAME", help="where a folder holds runs of several: "
        f"{', '.join(MODELS.names())}")  # fmt: skip
    add = parser.group(Group.OUTPUT).add_argument
    add("--output", type=parse_text, metavar="FILE", help=f"the page; default: {OUTPUT}, or of one run its own page")
    args = parser.parse_args()
    files = [find_run(path, args.model_name) for path in args.runs]
    for place, one in enumerate(files):
        if (one.folder.resolve(), one.model_name) in [
            (other.folder.resolve(), other.model_name) for other in files[:place]
        ]:
            raise ConfigError(f"{one.numbers} is given twice")
    output = choose_output(args.output, files)
    runs = [load_run(one) for one in files]
    from tools.pages.page import write_page  # with Jinja2, which takes a while
    from tools.training.run_page import build_run_page

    write_page(output, build_run_page(runs[0]) if len(runs) == 1 else build_comparison(runs))
    for run in runs:
        for problem in run.describe_problems():
            print(printable(problem))
    print(f"wrote {printable(str(output))}")


if __name__ == "__main__":
    run_program(main)
