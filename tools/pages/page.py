"""A page from its blocks: one HTML file that needs no other, asks nobody for anything, and runs its own script only."""

import base64
import functools
import hashlib
import itertools
import logging
from collections.abc import Callable
from pathlib import Path

from tools.errors import ConfigError, DataError
from tools.files.atomic import atomic_write, require_writable
from tools.pages.blocks import Page
from tools.pages.texts import show_text
from tools.runtime.packages import explain_import

log = logging.getLogger(__name__)

_TEMPLATES = Path(__file__).parent / "templates"
_MARK = b'<meta name="generator" content="PaddlePaddle video models">'
_MARKED_BYTES = 2000  # in which the mark stands


def render_page(page: Page) -> bytes:
    """The page as UTF-8."""
    ids = itertools.count(1)
    shared = {name: _read(name) for name in ("page.css", "page.js")}
    text = _environment().get_template("page.html").render(
        page=page,
        mark=_safe(_MARK.decode()),
        style=_safe(shared["page.css"]),
        script=_safe(shared["page.js"]),
        policy=_policy(shared["page.css"], shared["page.js"]),
        new_id=lambda: f"n{next(ids)}",
    )  # fmt: skip
    return text.encode()


def write_page(path: Path, page: Page) -> None:
    """Put the page in the place of ``path``, whole or not at all. Raises DataError where it cannot be written."""
    data = render_page(page)
    try:
        with atomic_write(path) as file:
            file.write(data)
    except (OSError, ValueError) as error:
        reason = isinstance(error, OSError) and error.strerror  # without its paths, of which one is temporary
        raise DataError(f"the page {path} could not be written: {reason or error}") from None


def try_to_write(path: Path, build: Callable[[], Page]) -> bool:
    """Build a page and write it; whether there is one now.

    What goes wrong, whatever it is, is one line in the log: a page must not end what it tells of.
    """
    try:
        write_page(path, build())
    except Exception as error:  # noqa: BLE001
        known = explain_import(error) if isinstance(error, ImportError) else None
        reason = known or f"{type(error).__name__}: {' '.join(str(error).split())}"
        log.info(f"warning: the page {path} could not be made ({reason})")
        return False
    return True


def require_place(path: Path, flag: str) -> None:
    """What could keep a page from its place, before long work.

    flag: which names the place. Raises ConfigError for what is there already and is no page, DataError for a place that
    cannot be written.
    """
    try:
        require_writable(path)
        if path.exists() and not is_page(path):
            raise ConfigError(
                f"{flag} {path} is there already and is no page of this project; {flag} FILE.html names another"
            )
    except (OSError, ValueError) as error:
        raise DataError(f"{flag} {path} cannot be written: {error}") from None


def choose_place(given: str | bool, usual: Path) -> Path:
    """Where the page of a --report goes, as ``add_report_flag`` reads it. Raises as ``require_place``, and ImportError.

    usual: without FILE.
    """
    import jinja2  # noqa: F401  (without which there would be no page after all the work)

    path = usual if given is True else Path(given)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--report {path}: the name of a page ends in .html")
    require_place(path, "--report")
    return path


def is_page(path: Path) -> bool:
    """Whether a file is one of these pages, which may be written anew. Raises OSError for one that cannot be read."""
    with open(path, "rb") as file:
        return _MARK in file.read(_MARKED_BYTES)


@functools.cache
def _environment():
    """Jinja2 takes a while to import: only where a page is made."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value):
    """What a template shows; Markup is finished already."""
    return show_text(value) if type(value) is str else value


@functools.cache
def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _safe(text: str):
    """Text of this project as HTML that stands as it is."""
    from markupsafe import Markup

    return Markup(text)


def read_style() -> str:
    """The style sheet of all pages."""
    return _read("page.css")


def source_hash(text: str) -> str:
    """What a Content-Security-Policy calls a style or a script in a page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@functools.cache
def _policy(style: str, script: str) -> str:
    """The Content-Security-Policy that allows these two and pictures in the page, and nothing else."""
    style, script = map(source_hash, (style, script))
    return (
        f"default-src 'none'; img-src data:; style-src {style}; script-src {script}; "
        "base-uri 'none'; form-action 'none'"
    )
