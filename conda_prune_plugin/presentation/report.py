"""The HTML report: one file with everything in it, which asks nothing of any other place."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ..core.decision import Plan
from ..core.names import package_name
from ..core.packages import Cached, Contents, OwnerKind
from ..core.report import Usage
from ..core.units import format_age, format_size, plural
from ..core.usage import Inodes, Tree, shares
from .document import iso_time

#: Where the template of the page has something to be filled in.
_MARK = re.compile("@(SUMMARY|DATA|PLOTLY)@")

#: What is shown of a dist that no plan decides on.
_OWNER_WORDS = {
    OwnerKind.CONDA: "in an environment",
    OwnerKind.PIP: "pip",
    OwnerKind.RECORDS: "bookkeeping",
    OwnerKind.DIRECTORIES: "bookkeeping",
    OwnerKind.OTHER: "unrecorded",
}
_OWNER_LABELS = {
    OwnerKind.PIP: "by pip",
    OwnerKind.RECORDS: "records of conda",
    OwnerKind.DIRECTORIES: "directories",
    OwnerKind.OTHER: "in no record",
}


def report(usage: Usage, contents: Sequence[Contents], cached: Cached, inodes: Inodes, *, now: float) -> str:
    """Return the page. Needs plotly; raises `ImportError` without it."""
    from plotly.offline import get_plotlyjs

    page = files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    leaves = _leaves(usage, contents, cached, inodes, now)
    data = {
        "treemap": _treemap(usage, leaves),
        "environments": [
            {
                "name": item.root.name or item.root.path,
                "path": item.root.path,
                "packages": len(item.root.packages),
                "own": item.account.own,
                "shared": item.account.shared,
                "apparent": item.account.apparent,
                "files": item.account.files,
                "changed": iso_time(item.changed),
                "used": iso_time(item.used),
            }
            for item in usage.environments
        ],
        "entries": [leaf.row() for leaf in leaves if leaf.is_cached],
        "totals": {"allocated": usage.allocated, "apparent": usage.apparent, "reclaimable": usage.reclaimable},
    }
    contents_of = {"SUMMARY": html.escape(_summary(usage, now)), "DATA": _embedded(data), "PLOTLY": get_plotlyjs()}
    # In one pass, so that no name in the content is taken for a mark.
    return _MARK.sub(lambda mark: contents_of[mark[1]], page)


def _summary(usage: Usage, now: float) -> str:
    at_most = "at most " if usage.reflinks else ""
    return (
        f"{plural(len(usage.environments), 'environment')} and {plural(len(usage.caches), 'cache')}, "
        f"{at_most}{format_size(usage.allocated)} on disk; conda prune would give back "
        f"{at_most}{format_size(usage.reclaimable)}. As of {iso_time(now)}."
    )


def _embedded(data: Any) -> str:
    """Return JSON that can stand in a script element whatever names are in it."""
    text = json.dumps(data, ensure_ascii=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One part of one place; `place` is the path of a cache or an environment."""

    place: str
    package: str
    dist: str
    size: int
    verdict: str
    reason: str
    last_used: float | None
    now: float
    is_cached: bool

    @property
    def used(self) -> str:
        return "unknown" if self.last_used is None else f"{format_age(self.now - self.last_used)} ago"

    def row(self) -> dict[str, Any]:
        return {
            "dist": self.dist,
            "cache": self.place,
            "size": self.size,
            "verdict": self.verdict,
            "reason": self.reason,
            "used": iso_time(self.last_used),
        }

    def hover(self) -> str:
        return f"{format_size(self.size)}<br>{_label(self.verdict)}: {_label(self.reason)}<br>last use: {self.used}"


def _leaves(usage: Usage, contents: Sequence[Contents], cached: Cached, inodes: Inodes, now: float) -> list[_Leaf]:
    """Return all there is, each inode in the first place that has it, caches first: the sizes add up to the total."""
    decisions = _decisions(usage.plan)
    used = {item.root.path: item.used for item in usage.environments}
    found: list[tuple[Tree, tuple[str, str, str, str, str, float | None, bool]]] = []
    for dist, parts in cached.parts.items():
        for cache, tree in parts:
            verdict, reason, last_used = decisions.get((cache, dist), ("unknown", "", None))
            where = (cache, package_name(dist), dist, verdict, reason, last_used or tree.changed, True)
            found.append((tree, where))
    for item in contents:
        for owner, tree in item.owners.items():
            package = package_name(owner.name) if owner.kind is OwnerKind.CONDA else _OWNER_LABELS[owner.kind]
            reason = "files that no cache has" if owner.kind is OwnerKind.CONDA else _OWNER_LABELS[owner.kind]
            where = (
                item.root.path,
                package,
                owner.name or package,
                _OWNER_WORDS[owner.kind],
                reason,
                used.get(item.root.path),
                False,
            )
            found.append((tree, where))
    sizes = shares((tree for tree, _ in found), inodes)
    return _merged(
        _Leaf(place, package, dist, size, verdict, reason, last_used, now, is_cached)
        for size, (_, (place, package, dist, verdict, reason, last_used, is_cached)) in zip(sizes, found)
    )


def _merged(leaves: Iterable[_Leaf]) -> list[_Leaf]:
    """Return one leaf for the parts of an entry: its directory and its archives."""
    found: dict[tuple[str, str, str], _Leaf] = {}
    for leaf in leaves:
        key = (leaf.place, leaf.package, leaf.dist)
        known = found.get(key)
        size = leaf.size + (known.size if known else 0)
        used = max((time for time in (leaf.last_used, known and known.last_used) if time), default=None)
        found[key] = _Leaf(*key, size, leaf.verdict, leaf.reason, used, leaf.now, leaf.is_cached)
    return list(found.values())


def _decisions(plan: Plan) -> Mapping[tuple[str, str], tuple[str, str, float | None]]:
    found: dict[tuple[str, str], tuple[str, str, float | None]] = {}
    for removal in plan.remove:
        reason = "; ".join(reason.detail for reason in removal.reasons)
        found[removal.entry.cache, removal.entry.dist] = ("reclaimable", reason, removal.last_used)
    for keep in plan.keep:
        reason = "; ".join(reason.detail for reason in keep.reasons[:3])
        found[keep.entry.cache, keep.entry.dist] = (keep.verdict.value, reason, None)
    return found


def _treemap(usage: Usage, leaves: Sequence[_Leaf]) -> dict[str, list[Any]]:
    """Return the nodes of the treemap in columns: place, package, dist; what is left of a cache is a node too."""
    nodes = _Nodes()
    nodes.add("", "everything", "", usage.allocated, "place", "")
    sizes: dict[str, int] = {}
    for leaf in leaves:
        sizes[leaf.place] = sizes.get(leaf.place, 0) + leaf.size
    for cache in usage.caches:
        path, total = cache.cache.path, cache.account.allocated
        nodes.add("everything", path, f"cache {path}", total, "place", _label(path))
        rest = total - sizes.get(path, 0)
        nodes.add(path, f"{path}\0rest", "other files", rest, "bookkeeping", "index caches, logs and the like")
    for item in usage.environments:
        path = item.root.path
        hover = f"{_label(path)}<br>own {format_size(item.account.own)}, shared {format_size(item.account.shared)}"
        nodes.add("everything", path, item.root.name or path, sizes.get(path, 0), "place", hover)
    groups: dict[tuple[str, str], list[_Leaf]] = {}
    for leaf in leaves:
        if leaf.size:
            groups.setdefault((leaf.place, leaf.package), []).append(leaf)
    for (place, package), group in groups.items():
        name = f"{place}\0{package}"
        if len(group) == 1:
            nodes.add(place, name, group[0].dist, group[0].size, group[0].verdict, group[0].hover())
            continue
        nodes.add(place, name, package, sum(leaf.size for leaf in group), _common(group), plural(len(group), "version"))
        for leaf in group:
            nodes.add(name, f"{name}\0{leaf.dist}", leaf.dist, leaf.size, leaf.verdict, leaf.hover())
    return nodes.columns


def _common(group: Iterable[_Leaf]) -> str:
    verdicts = {leaf.verdict for leaf in group}
    return verdicts.pop() if len(verdicts) == 1 else "mixed"


class _Nodes:
    """The nodes of a treemap, in the columns that plotly wants."""

    def __init__(self) -> None:
        names = ("parents", "ids", "labels", "values", "verdicts", "hovers", "sizes")
        self.columns: dict[str, list[Any]] = {name: [] for name in names}

    def add(self, parent: str, name: str, label: str, size: int, verdict: str, hover: str) -> None:
        """Add one node; the hover text is markup already."""
        values = (parent, name, _label(label or name), size, verdict, hover, format_size(size))
        for column, value in zip(self.columns.values(), values):
            column.append(value)


def _label(text: str) -> str:
    """Return a text for plotly, which takes some markup in labels."""
    return html.escape(text, quote=False)
