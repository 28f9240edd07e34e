"""Write the class names of an official Kinetics CSV in alphabetical order; a name's place, from 0, is its class id.

python dataset/kinetics/generate_label.py kinetics-400_train.csv class_names.txt

OUT holds one name a line, as INFER.class_names and video2pkl.py --class-names take it. With --ids the id stands
behind each name, as in 2019; names hold spaces, so the id is what follows the last one.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

from dataclasses import dataclass

from dataset.kinetics.annotations import load_annotations, sort_classes
from tools.config.flags import parse_text
from tools.config.parser import Group, make_parser
from tools.errors import DataError
from tools.files.atomic import atomic_write, require_writable
from tools.runtime.entry import run_program


@dataclass(frozen=True)
class LabelOptions:
    """What the flags say; the names are theirs."""

    csv: str
    out: Path
    ids: bool
    force: bool


def parse_args() -> LabelOptions:
    parser = make_parser(__doc__)
    parser.add_argument("csv", type=parse_text, metavar="CSV", help="columns label, youtube_id and more")
    parser.add_argument("out", type=parse_text, metavar="OUT", help="the file to write")
    add = parser.group(Group.OUTPUT).add_argument
    add("--ids", action="store_true", help="write the id behind each name, as in 2019")
    add("--force", action="store_true", help="replace a file that is there and holds something else")
    args = parser.parse_args()
    return LabelOptions(args.csv, Path(args.out), args.ids, args.force)


def main() -> None:
    options = parse_args()
    names = sort_classes(load_annotations(options.csv))
    if not names:
        raise DataError(f"{options.csv} names no classes; expected them in a column label")
    # 2019: any number but 400 was refused.
    lines = [f"{name} {class_id}" if options.ids else name for class_id, name in enumerate(names)]
    content = "".join(f"{line}\n" for line in lines).encode()
    try:
        require_writable(options.out)
        if not options.force and options.out.exists() and options.out.read_bytes() != content:
            raise DataError(f"{options.out} is there already and holds something else; --force replaces it")
        with atomic_write(options.out) as file:
            file.write(content)
    except OSError as error:
        raise DataError(f"{options.out} cannot be written: {error}") from None
    print(f"wrote {len(names)} class names to {options.out}")


if __name__ == "__main__":
    run_program(main)
