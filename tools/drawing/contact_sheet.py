"""Many small pictures on one sheet, each with its caption."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tools.drawing.fonts import load_font, make_drawable, wrap_text

# A picture's side and a sheet's pixels; pictures are enlarged or shrunk to keep both.
SMALLEST_PX, LARGEST_SHEET = 112, 24_000_000
ASPECT = 1.4  # width over height that a sheet comes near
MARGIN_PX, GAP_PX, BLOCK_GAP_PX = 16, 8, 20
TITLE_PX, TEXT_PX, CAPTION_PX = 20, 14, 12
LINE = 1.35  # height of a line over that of its letters
LEAST_WIDTH_PX = 600  # so that a title has room
INK, GREY, PAPER = "#1a1a1a", "#555555", "#ffffff"


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3) uint8 RGB and the lines below it."""

    pixels: np.ndarray
    caption: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Tiles that belong together, under a heading that may be empty. columns: None where any number will do."""

    heading: str
    tiles: list[Tile]
    columns: int | None = None


@dataclass(frozen=True)
class Sheet:
    """What was drawn. places: the (left, top) of every tile, block by block. scale: sheet pixels to a tile's."""

    image: Image.Image
    places: list[tuple[int, int]]
    scale: float


def draw_sheet(title: str, lines: list[str], blocks: list[Block]) -> Sheet:
    """A sheet of tiles that all have one size.

    Small tiles are enlarged by a whole number with their pixels kept as squares, and those of a sheet that
    would be too large are shrunk by one; all others have their own pixels.
    """
    scale = _choose_scale(blocks)
    side = max(1, math.ceil(blocks[0].tiles[0].pixels.shape[0] * scale))
    cell = _cell_size(blocks, side)
    grids = [_block_grid(block, cell) for block in blocks]
    heading_px = round(TEXT_PX * LINE) + GAP_PX if any(block.heading for block in blocks) else 0
    block_size = (
        max(columns for columns, _ in grids) * cell[0],
        max(rows for _, rows in grids) * cell[1] + heading_px,
    )
    across = _choose_columns(len(blocks), (block_size[0] + BLOCK_GAP_PX, block_size[1] + BLOCK_GAP_PX))
    width = max(across * (block_size[0] + BLOCK_GAP_PX) - BLOCK_GAP_PX - GAP_PX, LEAST_WIDTH_PX)
    words = _title_lines(title, [*lines, *describe_scale(scale)], width)
    top = MARGIN_PX + sum(round(size * LINE) for _, size, _ in words) + BLOCK_GAP_PX // 2
    height = top + math.ceil(len(blocks) / across) * (block_size[1] + BLOCK_GAP_PX) - BLOCK_GAP_PX - GAP_PX
    image = Image.new("RGB", (width + 2 * MARGIN_PX, height + MARGIN_PX), PAPER)
    draw = ImageDraw.Draw(image)
    y = MARGIN_PX
    for text, size, colour in words:
        _write(draw, (MARGIN_PX, y), text, size, colour)
        y += round(size * LINE)
    places = []
    for i, (block, (columns, _)) in enumerate(zip(blocks, grids, strict=True)):
        left = MARGIN_PX + i % across * (block_size[0] + BLOCK_GAP_PX)
        block_top = top + i // across * (block_size[1] + BLOCK_GAP_PX)
        _write(draw, (left, block_top), block.heading, TEXT_PX, INK)
        for j, tile in enumerate(block.tiles):
            place = left + j % columns * cell[0], block_top + heading_px + j // columns * cell[1]
            image.paste(_scaled(tile.pixels, scale), place)
            for k, text in enumerate(tile.caption):
                line_y = place[1] + side + 3 + round(k * CAPTION_PX * LINE)
                _write(draw, (place[0], line_y), text, CAPTION_PX, INK if k == 0 else GREY)
            places.append(place)
    return Sheet(image, places, scale)


def _choose_scale(blocks: list[Block]) -> float:
    side, count = blocks[0].tiles[0].pixels.shape[0], sum(len(block.tiles) for block in blocks)
    enlarged = max(1, math.ceil(SMALLEST_PX / side))
    if count * (side * enlarged) ** 2 <= LARGEST_SHEET:
        return enlarged
    return 1 / max(1, math.ceil(math.sqrt(count * side**2 / LARGEST_SHEET)))


def describe_scale(scale: float) -> list[str]:
    """A line on pictures that are not drawn at their size."""
    if scale == 1:
        return []
    return [f"pixels drawn as squares of {scale} x {scale}" if scale > 1 else f"at 1/{round(1 / scale)} of its size"]


def _scaled(pixels: np.ndarray, scale: float) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if scale >= 1:
        return image.resize((image.width * int(scale), image.height * int(scale)), Image.Resampling.NEAREST)
    return image.reduce(round(1 / scale))


def _cell_size(blocks: list[Block], side: int) -> tuple[int, int]:
    """Width and height of a tile with its caption and the gap behind it."""
    captions = {line for block in blocks for tile in block.tiles for line in tile.caption}
    widest = max((load_font(CAPTION_PX, line).getlength(line) for line in captions), default=0)
    lines = max(len(tile.caption) for block in blocks for tile in block.tiles)
    return max(side, math.ceil(widest)) + GAP_PX, side + round(lines * CAPTION_PX * LINE) + 3 + GAP_PX


def _block_grid(block: Block, cell: tuple[int, int]) -> tuple[int, int]:
    """Columns and rows of a block."""
    columns = block.columns or _choose_columns(len(block.tiles), cell)
    return columns, math.ceil(len(block.tiles) / columns)


def _choose_columns(count: int, cell: tuple[int, int]) -> int:
    """The number of columns that comes nearest to ASPECT and leaves few places empty."""

    def cost(columns: int) -> float:
        rows = math.ceil(count / columns)
        return abs(math.log(columns * cell[0] / (rows * cell[1]) / ASPECT)) + (rows * columns - count) / count

    return min(range(1, count + 1), key=cost)


def _title_lines(title: str, lines: list[str], width: int) -> list[tuple[str, int, str]]:
    """(text, size, colour) of each line above the tiles."""
    words = []
    for text, size, colour in [(title, TITLE_PX, INK), *((line, TEXT_PX, GREY) for line in lines)]:
        words += [(part, size, colour) for part in wrap_text(text, load_font(size, text), width, 3)]
    return words


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size_px: int, colour: str) -> None:
    font = load_font(size_px, text)
    baseline = place[0], place[1] + size_px  # one for all fonts, whose letters begin at different heights
    draw.text(baseline, make_drawable(text, font), colour, font, anchor="ls")
