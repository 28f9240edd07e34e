"""Make a small data set of real video files, in which the order of frames matters.

python dataset/kinetics/make_demo.py [FOLDER]

6 classes; 180 training and 60 validation clips of 30 to 60 frames at 25 frames a second, 72 to 96
pixels wide and 64 to 80 high. Stripes and checkers are told by their looks. Rising and sinking
squares, and growing and shrinking rings, are each other's clips played backwards: no frame, and no
set of frames without its order, tells them apart. Left and right never matter, as training mirrors.

Files are mp4: H.264 through PyAV (pip install av), or MPEG-4 through OpenCV where PyAV is missing.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import io
import tempfile
from collections.abc import Callable, Iterator

import numpy as np

from dataset.demo import fill_folder, run_maker, total_mb
from dataset.text_files import write_lines
from tools.errors import ConfigError
from tools.files.atomic import atomic_write
from tools.runtime.entry import run_program

VERSION = 2  # of the clips; another version is replaced
SPLITS = {"train": 30, "val": 10}  # clips a class
INFER_CLIPS = 2  # of the validation clips a class
FRAMES_PER_SEC = 25
SIZES = [(64, 80), (64, 88), (64, 96), (72, 80), (72, 88), (72, 96), (68, 92), (72, 72), (80, 80)]  # (H, W) pixels
FRAMES = (30, 60)  # fewest and most of a clip
NOISE = 3.0  # standard deviation of what is added to every pixel of every frame, of 255


# Light colours, one a drawing and of equal brightness, so that looks are learnt at once and motion is what remains.
TINTS = {"squares": (230, 120, 90), "rings": (80, 210, 110), "stripes": (90, 150, 240), "checkers": (190, 140, 190)}


def make_colors(rng: np.random.Generator, drawing: str) -> tuple[np.ndarray, np.ndarray]:
    """A dark and a light colour (3,) float64 in 0 to 255."""
    return rng.uniform(0, 60, 3), np.array(TINTS[drawing]) + rng.uniform(-25, 25, 3)


def paint(pattern: np.ndarray, colors: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """A pattern (H, W) in [-1, 1] between two colours: (H, W, 3) float64."""
    dark, light = colors
    return dark + (light - dark) * (pattern[..., None] + 1) / 2


def make_blobs(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Grey blobs without a direction, a background: (height, width, 3) float64."""
    wave_px = rng.uniform(9, 15)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) * wave_px
    band = np.exp(-(((frequency - 1) / 0.3) ** 2))
    blobs = np.fft.ifft2(np.fft.fft2(rng.standard_normal((height, width))) * band).real
    return np.repeat((70 + 15 * blobs / blobs.std())[..., None], 3, axis=2)


def make_waves(place_px: np.ndarray, wave_px: float) -> np.ndarray:
    """A pattern in [-1, 1] of waves along ``place_px``, any shape, with edges."""
    return np.tanh(3 * np.sin(2 * np.pi * place_px / wave_px))


def draw_squares(rng, height, width, times, direction) -> Iterator[np.ndarray]:
    """Barred squares that move up (direction -1) or down (1) over a background that rests."""
    background = make_blobs(rng, height, width)
    squares = []
    for left in rng.permutation(np.linspace(-8, width - 12, 7)):
        side = int(rng.integers(20, 31))
        bars = make_waves(np.arange(side) + rng.uniform(0, 12), rng.uniform(9, 12))
        patch = paint(np.repeat(bars[:, None], side, axis=1), make_colors(rng, "squares"))
        squares.append((patch, int(left), rng.uniform(0, 1), rng.uniform(2, 3)))
    for time in times:
        frame = background.copy()
        for patch, left, phase, speed_px in squares:
            side = len(patch)
            # One leaves the picture wholly before it comes back at the other end.
            period = height + side
            top = int(np.floor((phase * period + direction * speed_px * time) % period)) - side
            rows, columns = slice(max(top, 0), max(top + side, 0)), slice(max(left, 0), left + side)
            shown = frame[rows, columns]
            shown[...] = patch[max(-top, 0) :, max(-left, 0) :][: shown.shape[0], : shown.shape[1]]
        yield frame


def draw_rings(rng, height, width, times, direction) -> Iterator[np.ndarray]:
    """A disc of rings that grow (direction 1) or shrink (-1), over a background that rests."""
    y = np.arange(height)[:, None] - height * rng.uniform(0.4, 0.6)
    x = np.arange(width)[None, :] - width * rng.uniform(0.4, 0.6)
    background = make_blobs(rng, height, width)
    distance = np.hypot(y, x)
    inside = (distance < rng.uniform(28, 40))[..., None]
    wave_px, speed_px, start_px = rng.uniform(9, 12), rng.uniform(2, 3), rng.uniform(0, 12)
    colors = make_colors(rng, "rings")
    for time in times:
        rings = make_waves(distance - direction * speed_px * time + start_px, wave_px)
        yield np.where(inside, paint(rings, colors), background)


def draw_stripes(rng, height, width, times) -> Iterator[np.ndarray]:
    """Stripes of any direction that drift across themselves, either way."""
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 1)
    wave_px, speed_px = rng.uniform(9, 18), rng.uniform(1, 3) * rng.choice([-1, 1])
    across = np.cos(angle) * np.arange(width) + np.sin(angle) * np.arange(height)[:, None]
    colors = make_colors(rng, "stripes")
    for time in times:
        yield paint(make_waves(across - speed_px * time + phase * wave_px, wave_px), colors)


def draw_checkers(rng, height, width, times) -> Iterator[np.ndarray]:
    """A checkerboard, turned by any angle, that wanders about."""
    angle, phases = rng.uniform(0, np.pi / 2), rng.uniform(0, 2 * np.pi, 4)
    side_px, reach_px = rng.uniform(8, 14), rng.uniform(6, 14)
    periods = rng.uniform(20, 50, 2)  # frames
    y, x = np.arange(height)[:, None], np.arange(width)
    colors = make_colors(rng, "checkers")
    for time in times:
        dy, dx = reach_px * np.sin(2 * np.pi * time / periods + phases[:2])
        u = np.cos(angle) * (x - dx) + np.sin(angle) * (y - dy)
        v = np.cos(angle) * (y - dy) - np.sin(angle) * (x - dx)
        board = np.sin(np.pi * u / side_px + phases[2]) * np.sin(np.pi * v / side_px + phases[3])
        yield paint(np.tanh(6 * board), colors)


# A class's place in this table, sorted by name, is its label. A direction makes two classes of one drawing.
CLASSES: dict[str, tuple[Callable, tuple[int, ...]]] = {
    "checkers": (draw_checkers, ()),
    "growing": (draw_rings, (1,)),
    "rising": (draw_squares, (-1,)),
    "shrinking": (draw_rings, (-1,)),
    "sinking": (draw_squares, (1,)),
    "stripes": (draw_stripes, ()),
}


def draw_clip(name: str, rng: np.random.Generator, noise: float = NOISE) -> np.ndarray:
    """One clip of a class: (T, H, W, 3) uint8, RGB.

    Time is counted from the middle of the clip, so that with the same random numbers and without noise
    one class of a pair is exactly the other played backwards.
    """
    height, width = SIZES[rng.integers(len(SIZES))]
    num_frames = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    times = np.arange(num_frames) - (num_frames - 1) / 2
    draw, direction = CLASSES[name]
    frames = np.stack(list(draw(rng, height, width, times, *direction)))
    frames += noise * rng.standard_normal(frames.shape, dtype=np.float32)
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


def encode_h264(frames: np.ndarray) -> bytes:
    """An mp4 file of frames (T, H, W, 3) uint8 RGB, by PyAV with libx264."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SEC)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # with more the bytes may depend on the machine
        # With mbtree the bytes of some clips differ from run to run: its assembly is not exact for so small a picture.
        stream.options = {"preset": "veryfast", "crf": "18", "g": str(FRAMES_PER_SEC), "x264-params": "mbtree=0"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def encode_mpeg4(frames: np.ndarray) -> bytes:
    """An mp4 file of frames (T, H, W, 3) uint8 RGB, by OpenCV. Raises OSError when it writes none."""
    import cv2

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        size = frames.shape[2], frames.shape[1]
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FRAMES_PER_SEC, size)
        if not writer.isOpened():
            raise OSError("this OpenCV has no MPEG-4 encoder; pip install av")
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
        return path.read_bytes()


def find_encoder() -> tuple[Callable[[np.ndarray], bytes], str]:
    """The better of the encoders there are, and its name. Raises ConfigError without any."""
    try:
        import av

        av.codec.Codec("libx264", "w")
    except (ImportError, ValueError):  # some builds of PyAV leave libx264 out
        try:
            import cv2  # noqa: F401
        except ImportError:
            raise ConfigError("neither PyAV nor OpenCV is here to write videos; pip install av") from None
        return encode_mpeg4, "MPEG-4 by OpenCV, as there is no PyAV with libx264"
    return encode_h264, "H.264 by PyAV"


def make_demo(folder: Path, encode: Callable[[np.ndarray], bytes], counts: dict[str, int] = SPLITS) -> None:
    """Write the clips, their lists and the class names. counts: clips a class, by split. Raises DataError."""
    with fill_folder(folder, VERSION):
        lists = {split: [] for split in counts}
        for number, (split, count) in enumerate(counts.items()):
            (folder / split).mkdir(parents=True, exist_ok=True)
            for label, name in enumerate(CLASSES):
                for i in range(count):
                    clip = draw_clip(name, np.random.default_rng([2019, number, label, i]))
                    path = f"{split}/{name}_{i:02d}.mp4"
                    with atomic_write(folder / path) as file:
                        file.write(encode(clip))
                    lists[split].append((path, label, i))
            write_lines(folder / f"{split}.list", [f"{path} {label}" for path, label, _ in lists[split]])
        write_lines(folder / "infer.list", [path for path, _, i in lists["val"] if i < INFER_CLIPS])
        write_lines(folder / "class_names.txt", CLASSES)


def make(folder: Path) -> str:
    """Make the demo with the best encoder there is, and return a summary."""
    encode, encoder = find_encoder()
    clips = {split: count * len(CLASSES) for split, count in SPLITS.items()}
    print(f"writing {sum(clips.values())} clips, {encoder}; takes about 15 seconds", flush=True)
    make_demo(folder, encode)
    return f"{clips['train']} training and {clips['val']} validation clips, {total_mb(folder, '**/*.mp4'):.0f} MB"


def main() -> None:
    run_maker(__doc__, Path(__file__), VERSION, make)


if __name__ == "__main__":
    run_program(main)
