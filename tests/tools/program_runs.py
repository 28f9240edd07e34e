"""Programs of tools, run as a user runs them."""

import subprocess
import sys

from tests.conftest import PROJECT, clean_env


def run_module(name, *arguments, cwd=PROJECT):
    command = [sys.executable, "-m", f"tools.{name}", *arguments]
    return subprocess.run(command, cwd=cwd, env=clean_env(), capture_output=True, text=True, check=False)
