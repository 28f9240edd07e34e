"""Requests that are not answered, and why."""

import errno
from collections.abc import Mapping
from types import MappingProxyType

from tools.runtime.text import escape_controls, printable, shorten

_MOST_SAID, _MOST_NAMED = 600, 80  # characters of an error, and of a client's file name in it
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class RefusalError(Exception):
    """status: of HTTP. text: one line for whoever asked. headers: of the answer, besides the usual ones."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] = MappingProxyType({})):
        super().__init__(text)
        self.status = status
        self.text = shorten(escape_controls(" ".join(text.split())), _MOST_SAID)
        self.headers = dict(headers)


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


def name_upload(error: RefusalError, path: str, name: str | None) -> RefusalError:
    """The same error of a file, which is called as the client calls it and not as it lies on the disk."""
    shown = shorten(printable(name), _MOST_NAMED) if name else "the upload"
    return RefusalError(error.status, error.text.replace(path, shown), error.headers)


def explain_write_error(error: OSError) -> RefusalError | None:
    """What is said where an upload does not fit the disk; None for any other error."""
    if error.errno not in _FULL:
        return None
    return RefusalError(507, f"the server has no room for the upload ({error.strerror}); try a smaller file, or later")
