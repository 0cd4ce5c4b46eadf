"""Removing archives before anything else, where a full disk leaves no room even for our own state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..core.accounting import Ledger
from ..core.decision import Outcome, Plan, Remove
from ..core.model import PartKind, Result
from ..errors import PruneError
from .aside import HAD_TO_GO, Changed, Early, require_unchanged, require_unlinked, require_unreferenced
from .directory import Directory
from .removal import remove
from .tools import Tools


def make_room(plan: Plan, early: Early, tools: Tools) -> bool:
    """Remove one archive of the plan where it is, and note it; return whether there was one.

    That is a single step, and needs no room itself. Not of what an environment has (``--unlinked``): that takes more
    checks.
    """
    caches = {cache.path: cache for cache in plan.inventory.caches}
    for decision in plan.remove:
        for part in decision.parts:
            done = decision.accepted or (decision, part) in early
            if done or part.kind is not PartKind.ARCHIVE:
                continue
            try:
                with Directory.open(caches[decision.entry.cache].real_path) as cache:
                    require_unreferenced(decision, tools.references())
                    require_unchanged(decision, cache, early)
                    require_unlinked(decision, tools.soft_links())
                    measurement = tools.measure(*cache.at(part.name))
                    remove(cache, part.name, tools.progress)
            except (Changed, OSError):
                continue  # Nothing was removed; it is looked at again when its turn comes.
            early[decision, part] = measurement
            return True
    return False


def not_begun(decisions: Iterable[Remove], early: Early, stopper: PruneError | None) -> Iterator[Outcome]:
    """Give the outcomes of decisions that were not begun, but for the archives that had to go.

    stopper: why none could be; None for an interruption by the user.
    """
    result, why = (Result.FAILED, stopper.message) if stopper else (Result.SKIPPED, "interrupted before it")
    ledger = Ledger()
    for decision in decisions:
        gone = [early[decision, part] for part in decision.parts if early and (decision, part) in early]
        files, freed = sum(one.files for one in gone), sum(ledger.remove(one) for one in gone)
        if len(gone) == len(decision.parts):
            yield Outcome(decision.entry, Result.REMOVED, files, freed)
        else:
            yield Outcome(decision.entry, result, files, freed, why + HAD_TO_GO if gone else why)
