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

from ...core.units import format_size, plural
from ...core.usage.disk_usage import Inodes
from ...core.usage.package_usage import Cached, Contents
from ...core.usage.usage_report import CacheUsage, EnvironmentUsage, Usage
from ..plan_json import iso_time
from ..terminal.printable import visible
from .report_parts import STANDINGS, Figures, Part, Standing, figures, parts
from .report_treemap import NARROW, WIDE, places, treemap

#: So many rows are shown, and so many tiles drawn, before the others.
TOP = 50

#: So many parts have a row: the page stays small and quick however much there is.
MOST = 2_000


def report(
    usage: Usage, contents: Sequence[Contents], cached: Cached, inodes: Inodes, *, now: float, command: str
) -> str:
    """Return the page; `command` is what frees the bytes that it says can be freed."""
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
        """Make text what an element holds."""
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
    page.write("free", at_most + format_size(counted.free))
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


def _fill_parts(page: _Page, found: Sequence[Part], titles: dict[str, str]) -> None:
    """Fill in the table of parts; the first rows are those that the treemap shows."""
    body = page.at("parts-rows")
    listed, unlisted = _listed(found)
    for index, part in enumerate(listed):
        row = _row(body, f"p{index}" if index < TOP else None, index, part.standing)
        SubElement(row, "td").text = visible(part.name)
        _size_cell(row, part.size)
        SubElement(row, "td").text = STANDINGS[part.standing]
        SubElement(row, "td").text = visible(part.reason)
        SubElement(row, "td").text = (iso_time(part.used) or "")[:10]
        SubElement(row, "td").text = visible(titles[part.place])
    _fill_others(page, "parts", [part.size for part in listed[TOP:]], [part.size for part in unlisted])


def _listed(found: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """Return what has a row and what has none: packages of caches come before the small parts of environments."""
    order = sorted(range(len(found)), key=lambda index: (index >= TOP and found[index].standing is Standing.OWN, index))
    return [found[index] for index in sorted(order[:MOST])], [found[index] for index in order[MOST:]]


def _fill_locations(page: _Page, locations: Sequence[CacheUsage | EnvironmentUsage]) -> None:
    """Fill in the table of caches and environments."""
    body = page.at("locations-rows")
    ordered = sorted(enumerate(locations), key=lambda pair: -pair[1].account.own)
    for index, (number, item) in enumerate(ordered):
        environment = isinstance(item, EnvironmentUsage)
        row = _row(body, f"l{number}", index, Standing.OWN if environment else Standing.USED)
        SubElement(row, "td").text = visible(item.root.name or "" if isinstance(item, EnvironmentUsage) else "")
        SubElement(row, "td").text = "environment" if environment else "cache"
        for size in (item.account.own, item.account.shared):
            _size_cell(row, size)
        if isinstance(item, CacheUsage):
            _size_cell(row, item.reclaimable)
            _count_cell(row, len(item.cache.entries))
            used = None
        else:
            SubElement(row, "td", {"data-v": "-1"})
            _count_cell(row, len(item.root.packages))
            used = item.used
        SubElement(row, "td").text = (iso_time(used) or "")[:10]
        SubElement(row, "td").text = visible(_path(item))
    _fill_others(page, "locations", [item.account.own for _, item in ordered[TOP:]], ())


def _row(body: Element, name: str | None, index: int, standing: Standing) -> Element:
    row = SubElement(body, "tr", {"class": standing.value})
    if name is not None:
        row.set("id", name)
    if index >= TOP:
        row.set("hidden", "")
    return row


def _size_cell(row: Element, size: int) -> None:
    SubElement(row, "td", {"data-v": str(size)}).text = format_size(size)


def _count_cell(row: Element, count: int) -> None:
    SubElement(row, "td", {"data-v": str(count)}).text = f"{count:,}"


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
