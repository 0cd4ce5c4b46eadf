"""Group notices of one kind: a count, the first few paths, and the command that helps. JSON has all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ... import failures
from ...core.notices import (
    COPIED_DAMAGE,
    DAMAGED,
    EVEN_UNMOUNTED,
    FINAL,
    FIX_REGISTRY,
    MISSING,
    REPAIR,
    Notice,
)
from ...core.plan import Plan

#: So many notices of one kind are shown one by one; of more, so many are named.
_FEW = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """A warning as it is shown: a sentence or two and, on a line of its own, a command to copy."""

    message: str
    command: str = ""


#: What missing environments mean for a prune, and how to see which these are.
_SEE_ALL = "To see all: `conda prune envs -v`."
_SOFT_LINKED = "Packages used only by them through soft links count as unused."

#: For each kind that may be frequent: what happened, with `{}` for the count, what to do next, and the command.
_GROUPS = {
    MISSING: (
        "{} registered environments are missing",
        f"{_SOFT_LINKED} If you moved them, name their new places with --root. {_SEE_ALL} If you deleted them:",
        FIX_REGISTRY,
    ),
    "unreadable-environment": (
        "{} environments can't be read, so packages they soft-link are not protected",
        "Run this as a user who can read them.",
        "",
    ),
    "corrupt-record": (
        "{} records of packages can't be read",
        "The packages stay in the caches. Reinstall them into their environments.",
        "",
    ),
    "unreadable-directory": ("{} directories can't be read", "Run this as a user who can read them.", ""),
    "unreadable-registry": (
        "{} registries can't be read, so environments that only they list are unknown",
        "Name those with --root.",
        "",
    ),
    "unreadable-neighbour": (
        "The registries of {} other users can't be read, so packages they soft-link are not protected",
        "Run this as root to see their environments.",
        "",
    ),
    "unregistered-environments": (
        "{} configurations set register_envs to false, so environments created with them are unknown",
        "Name them with --root, or the directories they are in with --search.",
        "",
    ),
    "overlong-line": ("{} registries have lines that are too long for a path, which were ignored", "", ""),
    "unreadable-cache": ("{} package caches can't be read and were left alone", "", ""),
    "unsearched-cache": (
        "{} package caches of pixi and rattler are kept, because their environments are unknown",
        "Name the directories of your projects with --search.",
        "",
    ),
    "unsearched-directory": (
        "{} directories are too large to be searched for environments",
        "Name others with --root or --search.",
        "",
    ),
    DAMAGED: (
        "{} packages in use are damaged, so new environments may be broken",
        "Extract them again from their archives:",
        REPAIR,
    ),
    COPIED_DAMAGE: (
        "{} damaged packages are in use by environments that copied their files and may have the same damage",
        "Install them there again, for instance:",
        "",
    ),
    "unreadable-history": ("The histories of {} environments can't be read", "", ""),
    "broken-history": ("The histories of {} environments can't be understood", "", ""),
    "disk-error": (
        "The disk failed at {} paths, which were left alone",
        "Check the disk, or the server it is mounted from, and run the command again.",
        "",
    ),
    "cut-off-run": (
        "{} runs are unfinished: interrupted, or still running",
        "The next prune, restore or purge completes them.",
        "",
    ),
}


def unreported_failures() -> tuple[Notice, ...]:
    """Return a warning for each path where the disk failed that no other warning has named."""
    return tuple(
        Notice("disk-error", f"The disk failed at {failure.path or 'an unknown path'}: {failure.reason}.", failure.path)
        for failure in failures.unreported()
    )


def final_removals(plan: Plan) -> tuple[Notice, ...]:
    """Return a warning if packages are removed that can't be downloaded again."""
    lost = sum(removal.irreplaceable is not None for removal in plan.remove)
    them = "it" if lost == 1 else "them"
    message = (
        f"{lost:,} of these packages can't be downloaded again, so removing {them} can't be undone. "
        f"Add --backup to be able to restore {them}."
    )
    return (Notice(FINAL, message, ""),) if lost else ()


def mark_as_shown(notices: Iterable[Notice]) -> None:
    """Don't report disk failures again at paths that a warning has named."""
    failures.tell(notice.path for notice in notices if notice.kind.startswith("unreadable-") and notice.path)


def grouped(notices: Iterable[Notice]) -> tuple[Shown, ...]:
    """Return the warnings to show, with many of one kind as one, in the order of the first of each kind."""
    kinds: dict[str, list[Notice]] = {}
    for notice in notices:
        kinds.setdefault(notice.kind, []).append(notice)
    shown: list[Shown] = []
    for kind, alike in kinds.items():
        if len(alike) > _FEW and kind in _GROUPS:
            shown.append(_as_one(kind, alike))
        else:
            shown += map(_alone, alike)
    return tuple(shown)


def first_of(notices: Iterable[Notice], kind: str) -> str:
    """Return the message of the first notice of a kind, or the one for all of them if they are many."""
    alike = [notice for notice in notices if notice.kind == kind]
    return grouped(alike)[0].message


def _alone(notice: Notice) -> Shown:
    """Return a warning with the command that ends its message apart from it, if one does."""
    end = f" `{notice.command}`"
    if notice.command and notice.message.endswith(end):
        return Shown(notice.message.removesuffix(end), notice.command)
    return Shown(notice.message)


def _as_one(kind: str, alike: list[Notice]) -> Shown:
    what, advice, command = _GROUPS[kind]
    if kind == MISSING and any(notice.missing_directory for notice in alike):
        return _missing(alike)
    if kind == DAMAGED:
        # A command that needs --min-age repairs the others too.
        alike = sorted(alike, key=lambda notice: notice.command == REPAIR)
    rest = "" if kind == MISSING else " (--json lists all)"
    named = f"{_first(alike)}{rest}"
    return Shown(f"{what.format(f'{len(alike):,}')}: {named}. {advice}".rstrip(), alike[0].command or command)


def _first(alike: list[Notice]) -> str:
    """Return the first paths of notices, and how many more there are."""
    rest = f" and {len(alike) - _FEW:,} more" if len(alike) > _FEW else ""
    return ", ".join(notice.path for notice in alike[:_FEW]) + rest


def _missing(alike: list[Notice]) -> Shown:
    """Return one warning on missing environments, some of which lie in missing directories: on a disk, perhaps."""
    away = [notice for notice in alike if notice.missing_directory]
    deleted = [notice for notice in alike if not notice.missing_directory]
    directories = list(dict.fromkeys(notice.missing_directory for notice in away))
    where, disks = f"{directories[0]}, which is missing", "its disk isn't mounted, mount it"
    if len(directories) > 1:
        where = f"{len(directories):,} missing directories, such as {directories[0]}"
        disks = "their disks aren't mounted, mount them"
    what, command = f"{len(away):,} registered environments are in {where}", FIX_REGISTRY + EVEN_UNMOUNTED
    end = "If you deleted them:"
    if deleted:
        what = (
            f"{len(alike):,} registered environments are missing: {len(deleted):,} deleted or moved "
            f"({_first(deleted)}), and {len(away):,} in {where}"
        )
        end = f"To clean up the registry, with{EVEN_UNMOUNTED} if you deleted those in missing directories too:"
        command = FIX_REGISTRY
    return Shown(f"{what}. {_SOFT_LINKED} If {disks} before you prune. {_SEE_ALL} {end}", command)
