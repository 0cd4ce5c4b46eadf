"""The HTML report: one self-contained file.

The page is a tree of elements (`html_report.html`, filled here), and only the serializer writes markup: no name of a
package, environment or file can become any. The policy of the page lets nothing run but the one script, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.resources import files
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

from ...core.accounting import hedge
from ...core.units import format_size, plural
from ...core.usage.disk_usage import Inodes
from ...core.usage.package_usage import Cached, Contents
from ...core.usage.usage_report import CacheUsage, EnvironmentUsage, Usage
from ..documents import iso_time
from ..terminal.printable import visible
from .report_parts import STANDINGS, Figures, Part, Standing, figures, parts
from .report_treemap import NARROW, WIDE, places, treemap

#: So many rows and tiles are shown.
TOP = 50

#: So many parts have a row, to keep the page small and fast.
MOST = 2_000


def report(
    usage: Usage, contents: Sequence[Contents], cached: Cached, inodes: Inodes, *, now: float, command: str
) -> str:
    """Return the page; `command` is the command that frees what can be freed."""
    page = _Page()
    found = parts(usage, contents, cached, inodes)
    locations: list[CacheUsage | EnvironmentUsage] = [*usage.caches, *usage.environments]
    titles = {"": "several places", **{_path(item): _title(item, len(usage.caches)) for item in locations}}
    targets = {"": "others", **{_path(item): f"l{index}" for index, item in enumerate(locations)}}
    _fill_figures(page, usage, found, now, command)
    for canvas in (WIDE, NARROW):
        drawn = places(found[:TOP], found[TOP:], titles, targets)
        page.at("treemap").append(treemap(drawn, canvas))
    _fill_parts(page, found, titles)
    _fill_locations(page, locations)
    return page.text()


class _Page:
    """The elements of the template, by their ids."""

    def __init__(self) -> None:
        # Our own file; it has no entities.
        self._root = ET.fromstring(_asset("report.html"))  # noqa: S314
        self._by_id = {element.get("id"): element for element in self._root.iter()}
        hashes = {}
        for tag in ("style", "script"):
            text = _asset(f"report.{'css' if tag == 'style' else 'js'}")
            self.at(tag).text = text
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            hashes[tag] = f"{tag}-src 'sha256-{digest}'"
        policy = ("default-src 'none'", *hashes.values(), "base-uri 'none'", "form-action 'none'")
        self.at("policy").set("content", "; ".join(policy))

    def at(self, name: str) -> Element:
        """Return the element with an id."""
        return self._by_id[name]

    def write(self, name: str, text: str) -> None:
        """Set the text of an element."""
        self.at(name).text = visible(text)

    def text(self) -> str:
        """Return the page as markup."""
        markup = ET.tostring(self._root, encoding="unicode", method="html")
        return f"<!DOCTYPE html>\n{markup.strip()}\n"


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _fill_figures(page: _Page, usage: Usage, found: Sequence[Part], now: float, command: str) -> None:
    """Fill in the three figures, their bar and what to do next."""
    at_most = "at most " if usage.reflinks else ""
    counted = figures(usage, found)
    page.write("on-disk", at_most + format_size(counted.on_disk))
    page.write("in-use", at_most + format_size(counted.in_use))
    page.write("free", (at_most or hedge(usage.plan.inventory.notices)) + format_size(counted.free))
    page.write("on-disk-of", f"{plural(len(usage.environments), 'environment')}, {plural(len(usage.caches), 'cache')}")
    page.write("in-use-of", _share(counted.in_use, counted))
    removed = plural(len(usage.plan.remove), "unused package")
    page.write("free-of", f"{removed}, {_share(counted.free, counted)}")
    page.write("as-of", f"As of {_moment(now)}." + ("" if usage.complete else " Some files could not be read."))
    page.write("command", command)
    unneeded = "to-do" if not counted.free else "nothing"
    page.at(unneeded).set("hidden", "")
    _fill_bar(page.at("bar"), counted)
    legend = page.at("legend")
    for standing in (standing for standing in STANDINGS if any(part.standing is standing for part in found)):
        item = SubElement(legend, "li", {"class": standing.value})
        swatch = SubElement(item, "svg", {"width": "18", "height": "14", "aria-hidden": "true"})
        SubElement(swatch, "rect", {"width": "18", "height": "14"})
        swatch.tail = STANDINGS[standing]


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _share(size: int, counted: Figures) -> str:
    return f"{size / counted.on_disk if counted.on_disk else 0:.0%} of it"


def _fill_bar(bar: Element, counted: Figures) -> None:
    words = {"used": "in use", "free": "can be freed", "other": "kept for now, index caches and logs"}
    sizes = {"used": counted.in_use, "free": counted.free, "other": counted.rest}
    said = ", ".join(f"{format_size(size)} {words[style]}" for style, size in sizes.items() if size)
    bar.set("aria-label", said)
    x = 0.0
    for style, size in sizes.items():
        width = size / max(sum(sizes.values()), 1)
        part = SubElement(bar, "g", {"class": style})
        SubElement(part, "title").text = f"{format_size(size)} {words[style]}"
        SubElement(part, "rect", {"x": f"{x:.2%}", "width": f"{width:.2%}", "height": "100%"})
        x += width


#: A cell of a table: its text, and the number that it is sorted by, if it is one.
_Cell = tuple[str, "int | None"]


def _fill_parts(page: _Page, found: Sequence[Part], titles: dict[str, str]) -> None:
    """Fill in the table of parts; the first rows are those that the treemap shows."""
    # Packages of caches come before the small parts of environments, if not all have a row.
    order = sorted(range(len(found)), key=lambda index: (index >= TOP and found[index].standing is Standing.OWN, index))
    shown, rest = [found[index] for index in sorted(order[:MOST])], [found[index] for index in order[MOST:]]
    for index, part in enumerate(shown):
        texts = (STANDINGS[part.standing], part.reason, _day(part.used), titles[part.place])
        cells: list[_Cell] = [(part.name, None), _size(part.size), *((text, None) for text in texts)]
        _add_row(page.at("parts-rows"), f"p{index}" if index < TOP else None, index, part.standing, cells)
    _fill_others(page, "parts", [part.size for part in shown[TOP:]], [part.size for part in rest])


def _fill_locations(page: _Page, locations: Sequence[CacheUsage | EnvironmentUsage]) -> None:
    """Fill in the table of caches and environments."""
    ordered = sorted(enumerate(locations), key=lambda pair: -pair[1].account.own)
    for index, (number, item) in enumerate(ordered):
        name, kind, standing, freed, used = "", "cache", Standing.USED, ("", -1), None
        if isinstance(item, CacheUsage):
            freed, count = _size(item.reclaimable), len(item.cache.entries)
        else:
            name, kind, standing = item.root.name or "", "environment", Standing.OWN
            count, used = len(item.root.packages), item.used
        sizes = (_size(item.account.own), _size(item.account.shared), freed)
        numbers: list[_Cell] = [*sizes, (f"{count:,}", count)]
        cells = [(name, None), (kind, None), *numbers, (_day(used), None), (_path(item), None)]
        _add_row(page.at("locations-rows"), f"l{number}", index, standing, cells)
    _fill_others(page, "locations", [item.account.own for _, item in ordered[TOP:]], ())


def _add_row(body: Element, name: str | None, index: int, standing: Standing, cells: Iterable[_Cell]) -> None:
    row = SubElement(body, "tr", {"class": standing.value})
    if name is not None:
        row.set("id", name)
    if index >= TOP:
        row.set("hidden", "")
    for text, value in cells:
        cell = SubElement(row, "td", {} if value is None else {"data-v": str(value)})
        cell.text = visible(text) or None


def _size(size: int) -> tuple[str, int]:
    return format_size(size), size


def _day(time: float | None) -> str:
    return (iso_time(time) or "")[:10]


def _fill_others(page: _Page, table: str, hidden: Sequence[int], unlisted: Iterable[int]) -> None:
    """Fill in the last line of a table: how many rows are hidden, and how many parts have none."""
    unlisted = tuple(unlisted)
    line = page.at(f"{table}-others")
    line.set("data-count", str(len(unlisted)))
    line.set("data-size", str(sum(unlisted)))
    count = len(hidden) + len(unlisted)
    page.write(f"{table}-count", plural(count, "other"))
    page.write(f"{table}-sum", format_size(sum(hidden) + sum(unlisted)))
    if not count:
        line.set("hidden", "")


def _path(item: CacheUsage | EnvironmentUsage) -> str:
    return item.cache.path if isinstance(item, CacheUsage) else item.root.path


def _title(item: CacheUsage | EnvironmentUsage, caches: int) -> str:
    """Return what a place is called in the table and the treemap."""
    if isinstance(item, EnvironmentUsage):
        return item.root.name or item.root.path
    return "cache" if caches == 1 else f"cache {item.cache.path}"
