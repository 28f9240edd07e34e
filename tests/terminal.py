"""Scripts on a terminal of a chosen width, as users see them."""

import fcntl
import os
import pty
import struct
import termios

from tests.conftest import SCRIPTS, clean_env, script_command
from tests.script_server import ScriptProcess


def run_on_terminal(script, *arguments, cwd, columns=80):
    """Run a script to its end; return its exit code and all that the terminal was sent."""
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    pid = SCRIPTS.start(script_command(script, arguments), cwd, clean_env(), theirs, theirs)
    os.close(theirs)
    process, shown = ScriptProcess(SCRIPTS, pid), b""
    with os.fdopen(terminal, "rb", buffering=0) as file:
        try:
            while part := file.read(4096):
                shown += part
        except OSError:  # EIO: no process has the terminal any more
            pass
    return process.wait(), shown.decode()
