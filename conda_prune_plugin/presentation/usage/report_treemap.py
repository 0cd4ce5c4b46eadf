"""The treemap of the HTML report, as SVG: squarified rectangles with labels of constant size.

Heights are pixels and widths are percentages, so the picture fills its column. It is laid out twice, for wide and for
narrow windows, and the style sheet shows one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

import squarify

from ...core.units import format_size, plural
from ..terminal.printable import visible
from .report_parts import STANDINGS, Part, Standing

#: The height of the heading of a place, in pixels; a place smaller than this has none.
_HEADING = 22.0
_LEAST_HEADED = (70.0, 60.0)

#: A rectangle smaller than this, in pixels, has no label.
_LEAST_LABELLED = (28.0, 17.0)

#: From this height on the label has a second line.
_TWO_LINES = 36.0


@dataclass(frozen=True, slots=True)
class Canvas:
    """The size of a treemap in pixels, and its class in the style sheet."""

    width: float
    height: float
    name: str


WIDE = Canvas(1120.0, 540.0, "wide")
NARROW = Canvas(360.0, 620.0, "narrow")


class _Box(NamedTuple):
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Tile:
    """One rectangle: its link, its class, and its label in two lines and as a sentence."""

    target: str
    style: str
    size: int
    label: str
    remark: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Place:
    """A cache or an environment and its tiles, the largest first."""

    heading: Tile
    tiles: tuple[Tile, ...]


def places(
    top: Sequence[Part], rest: Iterable[Part], titles: Mapping[str, str], targets: Mapping[str, str]
) -> list[Place]:
    """Return the tiles of the largest parts by their places, each with one for its others of a standing.

    titles, targets: the title and the element of each place, by its path. The part with the index n has the element
    ``p<n>``.
    """
    tiles: dict[str, list[Tile]] = {}
    for index, part in enumerate(top):
        label = part.name.rpartition("-")[0] if part.name.count("-") > 1 else part.name
        more = f"{f': {part.reason}' if part.reason else ''} ({titles[part.place]})"
        tile = _tile(f"p{index}", part.standing, part.size, label, part.name, more)
        tiles.setdefault(part.place, []).append(tile)
    others: dict[tuple[str, Standing], list[int]] = {}
    for part in rest:
        # Places of which no part is large are one place.
        others.setdefault((part.place if part.place in tiles else "", part.standing), []).append(part.size)
    for (place, standing), sizes in others.items():
        label = plural(len(sizes), "other")
        tiles.setdefault(place, []).append(_tile("others", standing, sum(sizes), label, label))
    found = []
    for place, inside in tiles.items():
        inside.sort(key=lambda tile: -tile.size)
        size, title = sum(tile.size for tile in inside), visible(titles[place])
        heading = Tile(targets[place], "place", size, title, format_size(size), f"{title}, {format_size(size)}")
        found.append(Place(heading, tuple(inside)))
    return sorted(found, key=lambda item: -item.heading.size)


def _tile(target: str, standing: Standing, size: int, label: str, name: str, more: str = "") -> Tile:
    """Return a tile; what is not in use says so on its second line."""
    in_use = standing in {Standing.USED, Standing.OWN}
    remark = format_size(size) if in_use else f"{format_size(size)}, {STANDINGS[standing]}"
    sentence = f"{name}, {format_size(size)}, {STANDINGS[standing]}{more}"
    return Tile(target, standing.value, size, visible(label), remark, visible(sentence))


def treemap(found: Sequence[Place], canvas: Canvas) -> Element:
    """Return the picture of all places."""
    picture = Element(
        "svg",
        {
            "class": f"treemap {canvas.name}",
            "width": "100%",
            "height": f"{canvas.height:g}",
            "role": "group",
            "aria-label": "Treemap of the largest packages by place",
        },
    )
    boxes = _laid_out([place.heading.size for place in found], _Box(0, 0, canvas.width, canvas.height))
    for place, box in zip(found, boxes):
        inner = box
        if box.width >= _LEAST_HEADED[0] and box.height >= _LEAST_HEADED[1]:
            picture.append(_drawn(place.heading, box._replace(height=_HEADING), canvas, " · "))
            inner = box._replace(y=box.y + _HEADING, height=box.height - _HEADING - 2)
        for tile, rectangle in zip(place.tiles, _laid_out([tile.size for tile in place.tiles], inner)):
            picture.append(_drawn(tile, rectangle, canvas, None))
    return picture


def _laid_out(sizes: Sequence[int], box: _Box) -> Iterator[_Box]:
    """Give each size, the largest first, its rectangle of the box."""
    scaled = squarify.normalize_sizes(sizes, box.width, box.height)
    for rectangle in squarify.squarify(scaled, *box):
        yield _Box(rectangle["x"], rectangle["y"], rectangle["dx"], rectangle["dy"])


def _drawn(tile: Tile, box: _Box, canvas: Canvas, joint: str | None) -> Element:
    """Return a tile as a link, so that keyboards and screen readers get to it; `joint` puts the label on one line."""
    link = Element("a", {"href": f"#{tile.target}", "class": tile.style, "aria-label": tile.sentence})
    frame = SubElement(
        link,
        "svg",
        {
            "x": f"{box.x / canvas.width:.2%}",
            "y": f"{box.y:.1f}",
            "width": f"{box.width / canvas.width:.2%}",
            "height": f"{box.height:.1f}",
        },
    )
    SubElement(frame, "title").text = tile.sentence
    SubElement(frame, "rect", {"width": "100%", "height": "100%"})
    if box.width >= _LEAST_LABELLED[0] and box.height >= _LEAST_LABELLED[1]:
        lines = [tile.label, tile.remark] if joint is None else [f"{tile.label}{joint}{tile.remark}"]
        if box.height < _TWO_LINES:
            lines = lines[:1]
        for number, line in enumerate(lines):
            SubElement(frame, "text", {"x": "6", "y": f"{15 + 16 * number}"}).text = line
    return link
