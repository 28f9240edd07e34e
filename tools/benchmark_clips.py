"""The former name of ``python -m tools.benchmark``, which measures models on clips too. It has the same flags."""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import runpy

from tools.runtime.entry import run_program
from tools.runtime.tables import Table


def main() -> None:
    if {"-h", "--help"} & {*sys.argv[1:]}:
        print(Table(f"{__doc__}\n"), flush=True)
    runpy.run_module("tools.benchmark", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run_program(main)
