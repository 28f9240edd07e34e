"""The pictures that the project's pages show, as ``scripts/make_pictures.sh`` makes them from pages of its programs.

python -m tests.pictures needs              say in one line what is missing
python -m tests.pictures film FILE.mp4      a longer clip of six scenes, for a timeline
python -m tests.pictures shoot FOLDER WEIGHTS
"""

import io
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from dataset.kinetics.make_demo import CLASSES, FRAMES_PER_SEC, NOISE, find_encoder

PROJECT = Path(__file__).resolve().parents[1]
MOST_BYTES = 150_000  # of a picture
MODULES = ("starlette", "uvicorn", "python_multipart", "pytest", "hypothesis")  # of the files below
REQUIREMENTS = "-r requirements-serve.txt -r tests/requirements.txt"
SCENES = {"checkers": 4, "growing": 5, "rising": 4, "stripes": 5, "shrinking": 4, "sinking": 4}  # class -> seconds
SIZE = 72, 96  # height and width of the film, px
CLIP = "dataset/kinetics/demo/val/growing_01.mp4"  # what is sent to the server


@dataclass(frozen=True)
class Shot:
    """A part of a page. page: its file. first, last: selectors of where it begins and ends. width: of the window, px.

    scale: pixels of the picture to one of the window. margin: px around the part.
    """

    page: str
    first: str
    last: str
    width: int = 820
    scale: float = 1.5
    margin: int = 12


SHOTS = {
    "dataset/images/answer.png": Shot("answers.html", "#video-0", "#video-0", 560, 1.85, 2),
    "dataset/images/answers.png": Shot("answers.html", "#answers h2", "#video-3", 920),
    "dataset/images/timeline.png": Shot("timeline.html", ".timeline", ".card table"),
    "tools/images/run.png": Shot("run.html", "h1", "#epochs .chart:nth-child(2)"),
    "tools/images/classes.png": Shot("test.html", "#classes h2", "#classes table"),
}
SHOWN = ("dataset/images/clip.png", "dataset/images/features.png")  # by tools.show itself
SERVED = "tools/images/server.png"
PICTURES = (*SHOTS, *SHOWN, SERVED)


def main() -> None:
    match sys.argv[1:]:
        case ["needs"]:
            tell_what_is_missing()
        case ["film", path]:
            write_film(Path(path))
        case ["shoot", folder, weights]:
            shoot_all(Path(folder), Path(weights))
        case _:
            sys.exit(__doc__)


def tell_what_is_missing() -> None:
    """End with one line where a module or the browser is not installed."""
    missing = [name for name in MODULES if find_spec(name) is None]
    if missing:
        sys.exit(f"error: {', '.join(missing)} cannot be imported; python -m pip install {REQUIREMENTS}")
    from tests.browser import NAMES, find_browser

    if find_browser() is None:
        sys.exit(f"error: none of {', '.join(NAMES)} is installed; pictures of pages need Chromium")


def write_film(path: Path) -> None:
    """Scenes of all classes of the demo clips, one behind another."""
    scenes = []
    for name, seconds in SCENES.items():
        rng = np.random.default_rng([2019, len(scenes)])
        num_frames = seconds * FRAMES_PER_SEC
        draw, direction = CLASSES[name]
        frames = np.stack(list(draw(rng, *SIZE, np.arange(num_frames) - (num_frames - 1) / 2, *direction)))
        frames += NOISE * rng.standard_normal(frames.shape, dtype=np.float32)
        scenes.append(np.clip(np.rint(frames), 0, 255).astype(np.uint8))
    encode, _ = find_encoder()
    path.write_bytes(encode(np.concatenate(scenes)))


def shoot_all(folder: Path, weights: Path) -> None:
    """Make the pictures of pages. folder: where the pages and the film are. weights: a checkpoint for the server."""
    from tests.browser import Browser

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, closing(Browser(Path(profile))) as browser:
        for picture, shot in SHOTS.items():
            browser.open(folder / shot.page, width=shot.width, scale=shot.scale)
            write_picture(picture, browser.picture_of(shot.first, shot.last, shot.margin))
        write_picture(SERVED, shoot_server(browser, folder, weights))
    for picture in SHOWN:
        write_picture(picture, (PROJECT / picture).read_bytes())


def shoot_server(browser, folder: Path, weights: Path) -> bytes:
    """The server's page with its answer to a clip that was dropped on it."""
    from tests.conftest import SCRIPTS
    from tests.tools.serve.servers import running, wait_until

    flags = f"--weights={weights.resolve()}", "--engine=dygraph", "--decode-processes=1"
    try:
        with running(*flags, cwd=PROJECT, folder=folder) as server:
            browser.open(f"http://127.0.0.1:{server.port}/", width=820, scale=1.5)
            browser.run("document.getElementById('window').value = '1'")
            browser.choose_file("#file", PROJECT / CLIP)
            wait_until(lambda: browser.run("document.querySelectorAll('.timeline, .bad').length") == 1)
            wait_until(lambda: browser.run("document.getElementById('status').textContent.endsWith(' s')"))
            return browser.picture_of("h1", "#answers > :last-child", 12)
    finally:
        SCRIPTS.close()


def write_picture(picture: str, data: bytes) -> None:
    path = PROJECT / picture
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(shrink(data))
    print(f"{picture}: {path.stat().st_size / 1000:.0f} kB")


def shrink(data: bytes, most: int = MOST_BYTES) -> bytes:
    """A PNG as it is if it is small enough, or else with fewer colours. Raises ValueError where that is not enough."""
    if len(data) <= most:
        return data
    image = Image.open(io.BytesIO(data)).convert("RGB")
    for colors in (256, 128, 64):
        file = io.BytesIO()
        image.quantize(colors, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        if file.tell() <= most:
            return file.getvalue()
    raise ValueError(f"a picture of {image.width} x {image.height} px takes {file.tell():,} bytes, more than {most:,}")


if __name__ == "__main__":
    main()
