"""Paddle with the CPU settings of the scripts. Rooms whose tests compute with it import this in their conftest.py.

Paddle reads the settings once, while it is imported, so this comes before every other import of it.
"""

import os

from tools.runtime.cpu import load_paddle, tune_cpu

tune_cpu(processes=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))  # that run tests side by side
paddle = load_paddle()
