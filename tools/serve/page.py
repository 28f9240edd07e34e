"""The page of the server: one file that asks nobody but the server for anything."""

import html
import string
from dataclasses import dataclass
from pathlib import Path

from tools.pages.page import read_style, source_hash
from tools.serve.options import Limits

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class ServerPage:
    """content: UTF-8. policy: its Content-Security-Policy, which allows its own style and script and nothing else."""

    content: bytes
    policy: str


def build_page(model: str, kind: str, limits: Limits) -> ServerPage:
    """The page of a server. kind: of the data that its model takes, "clips" or "features"."""
    style, script = read_style() + _read("serve.css"), _read("serve.js")
    values = {"model": model, "kind": kind, "most_bytes": str(limits.upload_bytes)}
    text = string.Template(_read("serve.html")).substitute(
        {name: html.escape(value) for name, value in values.items()}, style=style, script=script
    )
    policy = (
        f"default-src 'none'; img-src data:; style-src {source_hash(style)}; script-src {source_hash(script)}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return ServerPage(text.encode(), policy)


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
