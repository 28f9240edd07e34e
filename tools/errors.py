"""The one family of errors that is meant for users."""

from enum import Enum


class ZooError(Exception):
    """Something the user can mend; the scripts print its text as one line and exit with its code.

    The text says where (file, section, record), what came, and what would work.
    """

    exit_code = 1


class ConfigError(ZooError):
    """A config, flag or setting that cannot start a run."""


class ConfigFileError(ConfigError):
    """A file that a config names and that cannot be used; the config itself is well.

    missing: its path, where there is none.
    """

    def __init__(self, text: str, missing: str | None = None):
        super().__init__(text)
        self.missing = missing


class DataIssue(str, Enum):
    """What is wrong with data, for counting; the error's text says the rest."""

    LIST = "bad list"  # not there, unreadable, or without a line
    MISSING = "missing"
    UNREADABLE = "unreadable"  # the system does not let us look, or the disk fails
    EMPTY = "empty"
    DAMAGED = "damaged"  # cut short, altered, or something behind its end
    UNSAFE = "unsafe pickle"
    FORMAT = "wrong format"  # some other kind of file
    NOT_A_VIDEO = "not a video"  # or one that is cut where its decoder needs it
    STRUCTURE = "wrong structure"  # a pickle of something else
    KEYS = "wrong keys"
    NAME = "no video name"
    SHAPE = "wrong shape"
    DTYPE = "wrong dtype"
    NO_FRAMES = "no frames"
    FRAME_COUNT = "wrong nframes"
    FRAME = "bad frame"  # one that cannot be decoded
    NO_LABEL = "no label"
    LABEL_TYPE = "wrong label"
    LABEL_RANGE = "label out of range"
    OTHER = "other"


class DataError(ZooError):
    """A list, file or record that cannot be used. where: the list and line that name it, once they are known."""

    def __init__(self, text: str, issue: DataIssue = DataIssue.OTHER, where: str = ""):
        super().__init__(f"{where}: {text}" if where else text)
        self.text = text
        self.issue = issue

    def at(self, where: str) -> "DataError":
        """The same error of a file that stands there."""
        return DataError(self.text, self.issue, where)


class PackageError(ZooError):
    """A package that is not installed, or too old."""


class CheckpointError(ZooError):
    """Weights or training state that cannot be read or written."""


class TrainingError(ZooError):
    """A run that cannot go on, such as a loss that is no longer finite."""


class DownloadError(ZooError):
    """A published file that cannot be had: no network, a bad answer, no room on the disk."""


class UnusableError(DownloadError):
    """What a server or an archive gives is no use, now or later, so another source may be tried."""


class OutputError(ZooError):
    """Standard output takes nothing. errno: as of an OSError."""

    def __init__(self, error: OSError):
        super().__init__(f"standard output cannot be written: {error}")
        self.errno = error.errno


class PeerError(ZooError):
    """Another process of this run has ended, so this one cannot go on. The fault is not here."""

    exit_code = 75  # what sysexits.h calls a temporary failure
