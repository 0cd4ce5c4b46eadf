"""The rows of the browser: environments, packages, leftovers and other tools' caches.

A row's key is unique in its view. Sizes are in bytes on disk, times in seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ...core.envs.environment_use import Environment, ProtectionKind, protections
from ...core.model import Inventory, ReasonKind, Root, RootKind, RootState, Verdict, Word
from ...core.plan import Plan, Remove, label
from ...core.rules.explanation import Explanation, explanations
from ...core.units import NO_SPACE, Space, format_size, plural
from ...core.usage.package_usage import Zoom
from ...core.usage.usage_report import OtherCache
from ..envs_text import ago, last_used
from ..reasons_text import reason_texts

_UNMEASURED = "it isn't measured yet"

#: The state of an environment in one or two words, by what protects it first.
_PROTECTED = {
    ProtectionKind.HOLDS: "holds others",
    ProtectionKind.LINK: "a link",
    ProtectionKind.STATE: "unreadable",
    ProtectionKind.POINTER: "referred to",
    ProtectionKind.OWN_FILES: "your files",
}

#: What keeps a package only as long as an environment exists.
_OF_ENVIRONMENTS = frozenset({ReasonKind.ENVIRONMENT, ReasonKind.REVISION})


#: The rows of each list.
Rows = Mapping["View", "tuple[Row, ...]"]


class View(Word):
    """One of the lists."""

    ENVIRONMENTS = "environments"
    PACKAGES = "packages"
    LEFTOVERS = "leftovers"


class Sort(Word):
    """The orders of a list: most own bytes, most inodes, longest unused, name."""

    OWN = "frees"
    INODES = "inodes"
    USED = "last used"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Size:
    """own, inodes: what is freed if exactly this is removed. shared: the bytes with links elsewhere."""

    own: int
    shared: int
    inodes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    size: None as long as it isn't measured. used: the time of the last use, and as it is shown. state: in one or two
    words. refusal: why it can't be marked, None if it can. users: the environments that would have to be marked too.
    opens: it has rows below. notes: what there is to say of it, a line each.
    """

    key: str
    name: str
    size: Size | None = None
    used: float | None = None
    used_text: str = ""
    state: str = ""
    refusal: str | None = None
    users: frozenset[str] = frozenset()
    opens: bool = False
    depth: int = 0
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def top(self) -> bool:
        """Whether it is a row of a list, not one below another."""
        return self.depth == 0


@dataclass(frozen=True, slots=True)
class Marked:
    """What marks stand for.

    environments: paths. removals: the decisions on packages and leftovers, by key. refused: by the key of each mark
    that can't be kept, why. freed: what all of it frees together. hedge: how exact that is, in words.
    """

    environments: frozenset[str] = frozenset()
    removals: Mapping[str, Remove] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    freed: Space = NO_SPACE
    hedge: str = ""

    @property
    def paths(self) -> frozenset[str]:
        """The paths of all parts of packages and leftovers."""
        return frozenset(path for removal in self.removals.values() for path in removal.paths)

    def __str__(self) -> str:
        """Return what is marked and what it frees, as one line."""
        packages = sum(not removal.leftover for removal in self.removals.values())
        counts = (
            (len(self.environments), "environment"),
            (packages, "package"),
            (len(self.removals) - packages, "leftover"),
        )
        what = ", ".join(plural(count, noun) for count, noun in counts if count)
        if not what:
            return "Nothing is marked. Space marks a row."
        space = f"{format_size(self.freed.bytes)} and {plural(self.freed.inodes, 'inode')}"
        return f"Marked: {what}. Together they free {self.hedge}{space}."


def ordered(rows: Iterable[Row], sort: Sort) -> list[Row]:
    """Return rows in an order; what isn't known comes last."""

    def measure(row: Row) -> tuple[float, str]:
        size = row.size
        values = {
            Sort.OWN: -1.0 if size is None else size.own,
            Sort.INODES: -1.0 if size is None else size.inodes,
            Sort.USED: -1e18 if row.used is None else -row.used,
            Sort.NAME: 0.0,
        }
        return -values[sort], row.name

    return sorted(rows, key=measure)


def listed_rows(inventory: Inventory) -> Rows:
    """Return the rows before anything is measured: names only."""
    environments = [
        root for root in inventory.roots if root.kind is RootKind.ENVIRONMENT and root.state is not RootState.MISSING
    ]
    entries = [entry for cache in inventory.caches for entry in cache.entries]
    return {
        View.ENVIRONMENTS: tuple(Row(root.path, name_of(root), refusal=_UNMEASURED) for root in environments),
        View.PACKAGES: tuple(Row(f"{entry.cache}\n{entry.dist}", entry.dist, refusal=_UNMEASURED) for entry in entries),
        View.LEFTOVERS: (),
    }


def name_of(root: Root) -> str:
    """Return what an environment is called: its name, else its path."""
    return root.name or root.path


def environment_rows(environments: Iterable[Environment], kept: Mapping[str, int], now: float) -> Iterator[Row]:
    """Yield a row for each environment; `kept`: by path the bytes in the caches that only it keeps."""
    for item in environments:
        usage, account = item.usage, item.usage.account
        held = protections(item, by_age=False)
        busy = item.running or item.active
        shown = "now" if busy else last_used(usage.used, usage.changed, now, keeps_access=usage.keeps_access)
        yield Row(
            key=item.path,
            name=name_of(item.root),
            size=Size(account.own, account.shared, account.own_inodes),
            used=now if busy else usage.used or usage.changed,
            used_text=shown,
            state=_PROTECTED.get(held[0].kind, held[0].kind.value) if held else "",
            refusal="; ".join(protection.detail for protection in held) or None,
            opens=True,
            notes=(
                *(f"protected: {protection.detail}" for protection in held),
                *(
                    f"{format_size(size)} more in cached packages that only it uses"
                    for size in (kept.get(item.path),)
                    if size
                ),
            ),
        )


def by_key(plan: Plan) -> dict[str, Explanation]:
    """Return the decision on each package and leftover of a plan by the key of its row."""
    return {
        f"{found.entry.cache}\n{label(found.entry.dist, leftover=found.verdict is Verdict.LEFTOVER)}": found
        for found in explanations(plan).values()
    }


def package_rows(
    explained: Mapping[str, Explanation], sizes: Mapping[str, Size], now: float
) -> dict[View, tuple[Row, ...]]:
    """Return the rows of a plan's packages and leftovers; both arguments are by key."""
    rows: dict[View, list[Row]] = {View.PACKAGES: [], View.LEFTOVERS: []}
    for key, found in explained.items():
        view = View.LEFTOVERS if found.verdict is Verdict.LEFTOVER else View.PACKAGES
        rows[view].append(_row(key, found, sizes[key], now))
    return {view: tuple(made) for view, made in rows.items()}


def _row(key: str, found: Explanation, size: Size, now: float) -> Row:
    removal = found.removal
    kinds = {reason.kind for reason in found.reasons}
    users = frozenset(reason.root for reason in found.reasons if reason.kind in _OF_ENVIRONMENTS and reason.root)
    verdict = "kept" if removal is None else "removable"
    return Row(
        key=key,
        name=found.entry.dist,
        size=size,
        used=None if removal is None else removal.last_used,
        used_text="" if removal is None else ago(removal.last_used, now),
        state=_state(found, len(users)),
        refusal=None if removal is not None else "; ".join(reason_texts(found.reasons, whole=False, more="Enter")),
        users=users if removal is None and kinds <= _OF_ENVIRONMENTS else frozenset(),
        opens=True,
        notes=tuple(f"{verdict}: {reason.detail}" for reason in found.reasons),
    )


def _state(found: Explanation, users: int) -> str:
    if found.removal is not None:
        return found.reasons[0].kind.value.split("-")[0] if found.verdict is Verdict.LEFTOVER else "unused"
    return f"in use ({users:,})" if users else found.reasons[0].kind.value


def tool_rows(caches: Iterable[OtherCache]) -> Iterator[Row]:
    """Yield a row for each cache of another tool, which is only reported."""
    for item in caches:
        note = f"{item.kind.value} manages it; clean it with: {item.command}"
        notes = (note,) if item.complete else (note, "it was not counted completely; there is more")
        size = Size(item.allocated, 0, 0)
        yield Row(item.path, item.path, size, state=item.kind.value, refusal=note, opens=True, notes=notes)


def note_rows(above: Row) -> tuple[Row, ...]:
    """Return what there is to say of a row as rows below it."""
    return tuple(Row(f"{above.key}\n{number}", note, depth=above.depth + 1) for number, note in enumerate(above.notes))


def zoomed_rows(above: Row, zoom: Zoom) -> tuple[Row, ...]:
    """Return the contents of an environment: its packages, then what is no package of conda."""
    rows = [
        Row(
            f"{above.key}\n{share.dist}",
            share.dist,
            Size(share.own, share.allocated - share.own, share.own_inodes),
            state=f"in {share.others:,} more" if share.others else "only here",
            opens=True,
            depth=1,
        )
        for share in zoom.packages
    ]
    rest = (
        (f"{plural(zoom.other_files, 'file')} of no package", zoom.other),
        ("conda's records", zoom.records),
        ("directories", zoom.directories),
    )
    rows += [Row(f"{above.key}\n({name})", f"({name}: {format_size(size)})", depth=1) for name, size in rest if size]
    return (*note_rows(above), *rows)
