"""Show a card of a model: its layers and sizes, multiply-adds, settings, weights, scores and speed.

python -m tools.info
python -m tools.info --model-name TSN [--config FILE] [--set MODEL.num_layers=101] [--json]
python -m tools.info --weights checkpoints/TSN_best [--json]

Without a model: all of them, a line each. With --weights: what the weights are, and the card with their own settings.
--json prints {"format": 1, "models": [...]}, one object a model; tools/info/card.py names its fields.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import json

import metrics  # noqa: F401  (registers them)
import models  # noqa: F401
from tools.config.flags import add_set_flag, parse_text, read_config_source
from tools.config.parser import Group, make_parser
from tools.errors import ConfigError
from tools.info.card import build_card
from tools.info.options import InfoOptions
from tools.info.subject import choose_subjects
from tools.info.text import format_card, format_overview
from tools.registry import MODELS
from tools.runtime.entry import run_program
from tools.runtime.tables import Table

FORMAT = 1  # of what --json prints; another once a field changes its meaning or goes


def parse_args() -> InfoOptions:
    parser = make_parser(__doc__, prog="python -m tools.info")
    add = parser.group(Group.MODEL).add_argument
    add("--model-name", type=parse_text, metavar="NAME", help=f"{', '.join(MODELS.names())}; case is ignored")
    add("--weights", type=parse_text, metavar="PATH", help="a checkpoint folder, or others that test.py takes")
    add("--config", type=parse_text, metavar="FILE", help="default: that of --weights, or the model's own in configs/")
    parser.group(Group.OUTPUT).add_argument("--json", action="store_true", help="print all of it as JSON")
    add_set_flag(parser, "TEST.seg_num=7")
    args = parser.parse_args()
    if args.model_name and args.weights:
        raise ConfigError(
            "--weights says which model it is, so leave out --model-name; of weights that do not, a --config whose "
            "[MODEL] has a name says it"
        )
    return InfoOptions(args.model_name, args.weights, read_config_source(args), json_wanted=args.json)


def main() -> None:
    options = parse_args()
    subjects = choose_subjects(options)
    cards = [build_card(subject) for subject in subjects]
    if options.json_wanted:
        print(Table(json.dumps({"format": FORMAT, "models": cards}, indent=1)))
    else:
        print(format_card(cards[0]) if len(cards) == 1 else format_overview(cards))


if __name__ == "__main__":
    run_program(main)
