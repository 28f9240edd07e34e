"""The secret by which the processes of a run know one another. Does not import Paddle.

``--nproc`` makes one for each run and hands it down in the environment. Processes that another launcher starts are
given theirs by the user, in a file. It is never sent, printed or written.
"""

import hashlib
import os
import secrets
import stat
from pathlib import Path

from tools.errors import ConfigError
from tools.runtime.cpu import OF_PADDLE

SECRET = "PADDLE_VIDEO_SECRET"
SECRET_FILE = "PADDLE_VIDEO_SECRET_FILE"
_LEAST, _MOST = 32, 4096  # characters; who listens on the network may try out shorter ones at leisure
_ADVICE = f"on all machines {SECRET_FILE} has to name a file with the same {_LEAST} characters or more"


def make_secret() -> str:
    """A new one, of 64 characters."""
    return secrets.token_hex(32)


def take_key() -> bytes:
    """The key that the environment's secret gives, 32 bytes; programs that this one starts do not inherit the secret.

    Raises ConfigError where there is none, or it is too short, or others than the owner of its file could read it.
    """
    text, path = os.environ.pop(SECRET, ""), os.environ.get(SECRET_FILE, "")
    if text and OF_PADDLE in os.environ:
        raise ConfigError(f"{SECRET}: Paddle's launcher writes all variables to its logs, this secret too; {_ADVICE}")
    if not text and not path:
        raise ConfigError(f"processes that another launcher than --nproc started need a secret: {_ADVICE}")
    where = SECRET if text else f"{SECRET_FILE}: {path}"
    text = (text or _read(Path(path))).strip()
    if not _LEAST <= len(text) <= _MOST:
        raise ConfigError(f"{where} has {len(text)} characters, and a secret has {_LEAST} to {_MOST}; {_ADVICE}")
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _read(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise ConfigError(f"{SECRET_FILE}: {path} can be used by others than its owner; chmod 600 {path}")
            return file.read(_MOST + 2).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise ConfigError(f"{SECRET_FILE}: {path} cannot be read ({error.strerror}); {_ADVICE}") from None
