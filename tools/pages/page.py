"""A page from its blocks: one HTML file that needs no other, asks nobody for anything, and runs its own script only."""

import base64
import functools
import hashlib
import itertools
from pathlib import Path

from tools.errors import DataError
from tools.files.atomic import atomic_write
from tools.pages.blocks import Page
from tools.pages.texts import show_text

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
        raise DataError(f"the page {path} could not be written: {error}") from None


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


@functools.cache
def _policy(style: str, script: str) -> str:
    """The Content-Security-Policy that allows these two and pictures in the page, and nothing else."""
    style, script = (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src data:; style-src {style}; script-src {script}; "
        "base-uri 'none'; form-action 'none'"
    )
