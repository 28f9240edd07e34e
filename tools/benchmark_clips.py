"""The former name of ``python -m tools.benchmark``, which measures models on clips too. It has the same flags."""

import runpy
import sys

if __name__ == "__main__":
    if {"-h", "--help"} & {*sys.argv[1:]}:
        print(f"{__doc__}\n")
    runpy.run_module("tools.benchmark", run_name="__main__", alter_sys=True)
