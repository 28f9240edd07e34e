"""The project's pages for its users, and what stands on them: commands, sections, tables, links."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import PROJECT

# Read in this order, and the commands of one may need what those before it have left.
PAGES = [
    "README.md",
    "dataset/own_videos.md",
    "dataset/youtube8m.md",
    "dataset/README.md",
    "models/weights.md",
    "tools/README.md",
    "tools/training.md",
    "tools/results.md",
    "tools/deployment.md",
    "tools/speed.md",
    "tools/platforms.md",
    "tools/troubleshooting.md",
    "models/differences_from_2019.md",
]
# Of what the three scripts run; a network that makes features has no spec and no commands of its own.
MODEL_PAGES = [f"models/{path.parent.name}/README.md" for path in sorted((PROJECT / "models").glob("*/spec.py"))]

BLOCK = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")


def read_page(page: str) -> str:
    """page: its path from the project's folder."""
    return (PROJECT / page).read_text(encoding="utf-8")


def chinese_of(page: str) -> str:
    """The path of a page in Chinese."""
    return f"{page.removesuffix('.md')}_cn.md"


def commands_of(page: str) -> list[str]:
    """The lines of a page's bash blocks."""
    blocks = re.findall(r"^```bash\n(.*?)^```", read_page(page), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def links_of(text: str) -> list[str]:
    """Where the links and pictures of a page or a section lead, as they are written."""
    return _LINK.findall(BLOCK.sub("", text))


@dataclass(frozen=True)
class Heading:
    """level: 1 for the page's title. start: where its line begins in the page. anchor: what links call it."""

    level: int
    title: str
    start: int
    anchor: str


def headings_of(text: str) -> list[Heading]:
    """A page's headings in order. A line in a code block that begins with # is none.

    Anchors are those of GitHub: lower case, without punctuation, with - for spaces, and a number behind one that
    was there before.
    """
    hidden = BLOCK.sub(lambda block: " " * len(block[0]), text)
    found, seen = [], {}
    for line in re.finditer(r"^(#+) (.*)", hidden, flags=re.MULTILINE):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line[2].strip())
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        before = seen[anchor] = seen.get(anchor, -1) + 1
        found.append(Heading(len(line[1]), title, line.start(), f"{anchor}-{before}" if before else anchor))
    return found


def resolve_link(page: str, link: str) -> tuple[Path, str]:
    """The file that a link on a page leads to, and the anchor in it, "" for none."""
    target, _, anchor = link.partition("#")
    here = PROJECT / page
    return ((here.parent / target).resolve() if target else here), anchor


def table_rows(section: str, heads: str) -> list[list[str]]:
    """The rows of the table whose first row begins with ``heads``, cell by cell. Raises LookupError without one."""
    found = re.search(rf"^{re.escape(heads)}.*\n\|[-|: ]+\|\n((?:\|.*\n)+)", section + "\n", flags=re.MULTILINE)
    if not found:
        raise LookupError(f"no table begins with {heads}")
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in found[1].splitlines()]
