"""What is said of a line of a list that names nothing: what it seems to mean, and what would work."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import unquote

from datareader.list_lines import PathFinder, list_places, list_readings
from tools.files.recognise import FileKind, recognise_file
from tools.runtime.text import printable, shorten

_QUOTED = re.compile(r"""["'\u201c\u2018](.+?)["'\u201d\u2019]\s*(.*)""")
_SEPARATED = re.compile(r"(.*?)\s*[,;|]\s*([+-]?\d+(\.0*)?)")
_BEHIND_A_PATH = "a space or a tab stands behind a path, not a comma or the like"
_HEADING = (
    r"(file_?)?(path|name)|file|videos?(_?(path|id|name))?|youtube_id|clip|(num_)?frames|labels?|class(_?id)?|category|"
    r"target|id|split"
)
_HEADINGS = re.compile(rf"({_HEADING})( +({_HEADING}))+", re.IGNORECASE)
_WITH_FRACTION = re.compile(r"(.*\S\s+[+-]?\d+)\.0*")


def explain_missing(line: str, list_path: str, labelled: bool) -> str:
    """The text of the error of a line of which no reading names what is there. labelled: as of ``load_list``."""
    folder = str(Path(list_path).parent)
    *_, name = [name for name, _, num_frames in list_readings(line, labelled) if num_frames is None]
    shown = shorten(printable(name), 300)
    places = " and ".join(dict.fromkeys(str(Path(place).absolute()) for place in list_places(shown, folder)))
    text = f"no file {shown}; looked for {places}"
    hint = _hint(line, folder, labelled) or _hint_of_list(list_path)
    return f"{text}; {hint}" if hint else text


def explain_missing_path(path: str) -> str:
    """The text of the error of a path, given on the command line, where nothing is."""
    shown = shorten(printable(path), 300)
    text = f"no file or folder {shown}; looked for {Path(shown).absolute()}"
    hint = _hint_of_foreign_path(path) or _hint_of_name(path, "", labelled=False)
    return f"{text}; {hint}" if hint else text


def _hint(line: str, folder: str, labelled: bool) -> str:
    if re.fullmatch(r"\[\w+\]", line):
        return "this looks like a config; give the list itself, which a config names as filelist"
    if foreign := _hint_of_foreign_path(line):
        return foreign
    reasons, repaired = [], line
    for reason, repaired in _repairs(line):
        reasons.append(reason)
        if _is_there(repaired, folder, labelled):
            return f"{', '.join(reasons)}: this line would do: {repaired}"
    words = re.split(r"(\s+)", repaired)
    for end in range(len(words) - 2, 0, -2):
        name, rest = "".join(words[:end]), "".join(words[end + 1 :])
        if _is_there(name, folder, labelled=False):
            return ", ".join([*reasons, _hint_of_rest(name, rest, labelled)])
    if reasons == [_BEHIND_A_PATH]:  # which may be a path with a comma
        reasons = []
    return ", ".join(reasons) or _hint_of_name(line, folder, labelled)


def _is_there(line: str, folder: str, labelled: bool) -> bool:
    try:
        return PathFinder(folder, partial(list_readings, labelled=labelled)).find(line) is not None
    except (OSError, ValueError):
        return False


def _hint_of_foreign_path(line: str) -> str:
    if (match := re.match(r"([a-z][a-z0-9+.-]+)://", line, re.IGNORECASE)) and match[1].lower() != "file":
        return f"{match[1]}:// begins an address, which is not fetched; download the file and list its path"
    if re.match(r"[a-z]:[\\/]|\\\\", line, re.IGNORECASE):
        return "it is a path of Windows; write the path that the file has on this machine"
    return ""


def _repairs(line: str) -> Iterator[tuple[str, str]]:
    """(what is wrong, the line without it and all before it) for each thing that lists of other programs have."""
    if line.lower().startswith("file://"):
        line = unquote(line[7:])
        yield "paths are written without file://", line
    if match := _QUOTED.fullmatch(line):
        line = f"{match[1]} {match[2]}" if match[2][:1].isalnum() else match[1] + match[2]
        yield "paths are written without quotes", line
    if line.startswith("~"):
        with suppress(RuntimeError):  # there is no such user
            line = str(Path(line).expanduser())
        yield "~ is not expanded", line
    if "\\" in line:
        line = line.replace("\\", "/")
        yield "/ stands between folders, not a backslash", line
    is_table = re.fullmatch(r"[\w ]+([,;|\t][\w ]+)+", line) and not re.search(r"\d", line)
    if is_table or _HEADINGS.fullmatch(line):
        yield "this looks like the header of a table; a list has none, and a space between path and class id", line
    elif match := _SEPARATED.fullmatch(line):
        line = f"{match[1]} {match[2]}"
        yield "a space or a tab stands before a class id, not a comma or the like", line
    elif re.search("[,;|]", line):
        parted = " ".join(re.split(r"\s*[,;|]\s*", line)).strip()
        if parted != line:
            yield _BEHIND_A_PATH, parted
            line = parted
    if match := _WITH_FRACTION.fullmatch(line):
        yield "a class id is a whole number", match[1]


def _hint_of_rest(name: str, rest: str, labelled: bool) -> str:
    """Of what stands behind the name of a file that is there."""
    there = f"{name} is there, but {shorten(rest, 60)!r} stands behind it"
    if not labelled:
        return f"{there}; a list of features has paths alone, as its records hold their labels"
    if re.fullmatch(r"[+-]?\d+(\s+[+-]?\d+)+", rest):
        return f"{there}; a clip has one class id, and a folder of frames may have their number before it"
    return f"{there}; what may stand there is a class id: the number of the class, from 0, as in class_names"


def _hint_of_name(line: str, folder: str, labelled: bool) -> str:
    """Of a link that leads nowhere, of a device or a pipe, and of a name in other letters."""
    for name, _, _ in list_readings(line, labelled):
        for path in map(Path, list_places(name, folder)):
            try:
                if path.is_symlink():
                    return f"{path} is a link to {path.readlink()}, which is not there"
                if path.exists() and not path.is_dir():
                    return f"{path} is there, but is no regular file; copy what it holds into one"
                other = _folded_names(path.parent, path.parent.stat().st_mtime_ns).get(_fold(path.name))
            except (OSError, ValueError):
                continue
            if other:
                return f"there is {path.with_name(other)}, which differs in capitals, accents or spaces"
    return ""


@lru_cache(maxsize=8)
def _folded_names(folder: Path, changed_ns: int) -> dict[str, str]:
    """The names in a folder as it was at that time, by how they read without regard to capitals and the like."""
    return {_fold(path.name): path.name for path in sorted(folder.iterdir())}


def _fold(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _hint_of_list(list_path: str) -> str:
    """Of a list that is a text of another kind."""
    kind = recognise_file(list_path)
    is_other = kind not in (FileKind.TEXT, FileKind.TEXT_GBK, FileKind.UTF16, None)
    return f"{list_path} is {kind}; a list has one path a line" if is_other else ""
