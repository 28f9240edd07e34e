"""A video's features over time as one figure. Matplotlib is imported when something is drawn, and not before."""

import io
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tools.drawing.fonts import load_font, make_drawable
from tools.errors import ConfigError

# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73")
INK, GREY = "#1a1a1a", "#555555"
PERCENTILES = (5, 25, 75, 95)
HEAT_ROWS = 128
WIDTH_IN, DPI = 10, 100
TITLE_CHARACTERS = 105  # of a line above the figure


@dataclass(frozen=True)
class FrameStatistics:
    """Numbers of each of T frames of D values.

    mean, norm: (T,); norm is L2. bands: (4, T), the PERCENTILES of a frame's values.
    change: (T - 1,), L2 distance of each frame but the first to the one before.
    """

    mean: np.ndarray
    bands: np.ndarray
    norm: np.ndarray
    change: np.ndarray


def describe_frames(values: np.ndarray) -> FrameStatistics:
    """Statistics of (T, D) float features, frame by frame."""
    values = values.astype(np.float64)
    return FrameStatistics(
        mean=values.mean(axis=1),
        bands=np.percentile(values, PERCENTILES, axis=1),
        norm=np.linalg.norm(values, axis=1),
        change=np.linalg.norm(np.diff(values, axis=0), axis=1),
    )


@dataclass(frozen=True)
class _Panel:
    """One of the plots that share the time. draw: is given its axes; returns an image for a colour bar, or None."""

    height: float  # relative to the others
    title: str
    unit: str
    draw: Callable


def draw_features(
    title: str, lines: list[str], streams: dict[str, np.ndarray], taken: np.ndarray | None, taken_title: str
) -> bytes:
    """A PNG of features over time: values, norms, changes, and every value as a colour.

    streams: name -> (T, D) float32, equally many frames each, one a second. taken: (T,) int, how often the
    network takes each frame, under ``taken_title``; None where there is nothing to mark.
    Raises ConfigError where Matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            "the plot needs Matplotlib: python -m pip install matplotlib; --no-image prints the text alone"
        ) from None
    panels = _list_panels(streams, taken, taken_title)
    heights = [panel.height for panel in panels]
    figure = Figure(figsize=(WIDTH_IN, 0.9 + 1.55 * sum(heights)), dpi=DPI, layout="constrained")
    grid = figure.add_gridspec(len(panels), 2, height_ratios=heights, width_ratios=[50, 1])
    num_frames = len(next(iter(streams.values())))
    for row, panel in enumerate(panels):
        axes = figure.add_subplot(grid[row, 0])
        _style_panel(axes, panel, num_frames, is_last=row == len(panels) - 1)
        image = panel.draw(axes)
        if image is not None:
            bar = figure.colorbar(image, cax=figure.add_subplot(grid[row, 1]))
            bar.ax.tick_params(labelsize=8, colors=GREY)
            bar.set_label("value", fontsize=9, color=GREY)
    _write_title(figure, title, lines)
    return _save_small(figure)


def _save_small(figure) -> bytes:
    """A PNG of 256 colours, a third of the size of one of all of them."""
    drawn, memory = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    with Image.open(drawn) as image:
        # The median cut would do away with colours that are rare, such as those of a single frame's dots.
        few = image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(memory, "PNG", optimize=True)
    return memory.getvalue()


def _list_panels(streams: dict[str, np.ndarray], taken: np.ndarray | None, taken_title: str) -> list[_Panel]:
    found = {name: describe_frames(values) for name, values in streams.items()}
    colours = dict(zip(streams, COLOURS, strict=False))
    panels = [] if taken is None else [_Panel(0.35, taken_title, "times", partial(_draw_taken, taken))]
    for name in streams:
        draw = partial(_draw_values, found[name], colours[name])
        panels.append(_Panel(1, f"{name}: values of each frame, dequantised", "value", draw))
    norms = {name: statistics.norm for name, statistics in found.items()}
    panels.append(_Panel(0.8, "Length of each frame's features", "L2 norm", partial(_draw_lines, norms, colours)))
    changes = {name: statistics.change for name, statistics in found.items()}
    panels.append(_Panel(0.8, "Change from the frame before", "L2 distance", partial(_draw_lines, changes, colours)))
    for name, values in streams.items():
        step = heat_step(values)
        title = f"{name}: {'all values' if step == 1 else f'every {step}th value'} of each frame"
        panels.append(_Panel(1.1, title, "place of the value", partial(_draw_heat, values, step)))
    return panels


def _style_panel(axes, panel: _Panel, num_frames: int, is_last: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(panel.title, loc="left", fontsize=10, color=INK, parse_math=False)
    axes.set_ylabel(panel.unit, fontsize=9, color=GREY)
    axes.set_xlim(-0.5, num_frames - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
    axes.tick_params(labelsize=8, colors=GREY, labelbottom=is_last)
    axes.spines[["top", "right"]].set_visible(False)
    if is_last:
        axes.set_xlabel("time in seconds; a frame a second, so this is the frame's number too", fontsize=9, color=GREY)


def _draw_taken(taken: np.ndarray, axes) -> None:
    axes.bar(np.arange(len(taken)), taken, width=0.8, color=INK)
    axes.set_ylim(0, max(1, taken.max()))
    axes.set_yticks([0, int(max(1, taken.max()))])


def _draw_values(found: FrameStatistics, colour: str, axes) -> None:
    times = np.arange(len(found.mean))
    # A band of one frame has no width: half a second to either side stand for it.
    edges = np.concatenate([times - 0.5, times[-1:] + 0.5])
    for low, high, alpha in ((0, 3, 0.2), (1, 2, 0.35)):
        label = f"{PERCENTILES[low]} to {PERCENTILES[high]} % of the values"
        bands = [np.append(found.bands[i], found.bands[i, -1]) for i in (low, high)]
        axes.fill_between(edges, *bands, step="post", color=colour, alpha=alpha, linewidth=0, label=label)
    axes.plot(times, found.mean, color=colour, linewidth=1.5, marker=_marker(times), markersize=4, label="mean")
    _add_legend(axes)


def _draw_lines(lines: dict[str, np.ndarray], colours: dict[str, str], axes) -> None:
    """A line a stream. One that is shorter than the time lacks the first frame."""
    end = round(axes.get_xlim()[1] + 0.5)
    if not all(map(len, lines.values())):
        axes.text(0.5, 0.5, "a single frame, so nothing changes", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_yticks([])
        return
    for name, values in lines.items():
        times = np.arange(end - len(values), end)
        axes.plot(times, values, color=colours[name], linewidth=1.3, marker=_marker(times), markersize=4, label=name)
    highest = max(float(values.max()) for values in lines.values())
    axes.set_ylim(0, 1.1 * highest or 1)
    _add_legend(axes)


def heat_step(values: np.ndarray) -> int:
    """Every how many-th of D values is drawn, so that each has a row of pixels and none is averaged away."""
    return -(-values.shape[1] // HEAT_ROWS)


def _draw_heat(values: np.ndarray, step: int, axes):
    """Time across, the place of a value downwards; white is 0."""
    limit = max(float(np.percentile(np.abs(values), 99)), 1e-6)
    extent = (-0.5, len(values) - 0.5, values.shape[1] - 0.5, -0.5)
    return axes.imshow(
        values[:, ::step].T, "PuOr", aspect="auto", vmin=-limit, vmax=limit, extent=extent, interpolation="nearest"
    )


def _marker(times: np.ndarray) -> str:
    return "o" if len(times) < 3 else ""


def _add_legend(axes) -> None:
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        borderaxespad=0.2,
        ncols=3,
        fontsize=8,
        frameon=False,
        labelcolor=INK,
        handlelength=1.4,
    )


def _write_title(figure, title: str, lines: list[str]) -> None:
    parts = [part for line in (title, *lines) for part in textwrap.wrap(line, TITLE_CHARACTERS, max_lines=3)]
    font = load_font(12, " ".join(parts))
    file = font.path if isinstance(font.path, str) else None  # None: Pillow's own, which has no file
    text = "\n".join(make_drawable(part, font) for part in parts)
    figure.suptitle(text, x=0.01, ha="left", color=INK, parse_math=False, font=Path(file) if file else None, size=10)
