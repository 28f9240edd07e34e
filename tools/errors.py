"""The one family of errors that is meant for users."""


class ZooError(Exception):
    """Something the user can mend; the scripts print its text as one line and exit with its code.

    The text says where (file, section, record), what came, and what would work.
    """

    exit_code = 1


class ConfigError(ZooError):
    """A config, flag or setting that cannot start a run."""


class DataError(ZooError):
    """A list, file or record that cannot be used."""


class CheckpointError(ZooError):
    """Weights or training state that cannot be read or written."""


class TrainingError(ZooError):
    """A run that cannot go on, such as a loss that is no longer finite."""


class DownloadError(ZooError):
    """A published file that cannot be had: no network, a bad answer, no room on the disk."""


class UnusableError(DownloadError):
    """What a server or an archive gives is no use, now or later, so another source may be tried."""


class PeerError(ZooError):
    """Another process of this run has ended, so this one cannot go on. The fault is not here."""

    exit_code = 75  # what sysexits.h calls a temporary failure
