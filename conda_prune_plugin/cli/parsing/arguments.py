"""Convert the command line and ``.condarc`` to the options values of the operations.

Only here does an `argparse.Namespace` become values, and only here are invalid ones refused.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ... import settings
from ...core.rules.policy import DEFAULT_MIN_AGE
from ...core.rules.targets import ALL, DEFAULT, Target
from ...core.run import Check, Disposal
from ...core.units import parse_age, parse_size, size_as_typed
from ...discovery.leftovers.leftover_search import Search
from ...errors import ProtectedEnvironmentError, UsageError
from ...operations.options import (
    EnvsOptions,
    PruneOptions,
    PurgeOptions,
    RestoreOptions,
    UsageOptions,
    WhyOptions,
)
from .ci_presets import refuse_contrary, targets_of_preset
from .values import HINT, lock_timeout_of, parse_count, parsed, spec_of, specs_of, value_of

#: Values that replace settings and the default minimum age with ``--ci``, because everything in a job is new. Options
#: override them.
_WITH_PRESET = {"min_age": 0.0, "older_than": 0.0, "keep_newest": 0}

_ENVS_HINT = "`conda prune envs --help` explains the options."


def prune_options(arguments: argparse.Namespace) -> PruneOptions:
    """Return the options of ``conda prune``. Raises `UsageError` or `SettingError`."""
    preset: str | None = arguments.ci
    if preset is not None:
        refuse_contrary(preset, arguments)
    check = parsed(arguments.check, lambda text: Check(parse_size(text), size_as_typed(text)), None)
    lock_timeout = lock_timeout_of(arguments)
    # A preset leaves no backup, because nothing is restored after a job.
    disposal, destination = (Disposal.DELETE, None) if preset is not None else _disposal(arguments)
    settings.require_all()
    targets = targets_of(arguments)
    return PruneOptions(
        **_planning(arguments, targets, _search(arguments, targets)),
        disposal=disposal,
        destination=destination,
        preset=preset,
        check=check,
        ignore_unreadable=bool(arguments.ignore_unreadable),
        ignore_running=bool(arguments.ignore_running),
        lock_timeout=lock_timeout,
        purge_after=settings.PURGE_AFTER.value(),
    )


def prune_options_after_removal(arguments: argparse.Namespace) -> PruneOptions:
    """Return the options of the prune after ``conda prune envs --remove``.

    ``--backup`` applies to the environments only. Raises `UsageError` or `SettingError`.
    """
    return prune_options(argparse.Namespace(**{**vars(arguments), "backup": None}))


def configured_options(**values: Any) -> PruneOptions:
    """Return options with `values`, and the settings for all others. Raises `SettingError`."""
    settings.require_all()
    of_settings = {
        "configured_roots": settings.ROOTS.value(),
        "configured_keep": settings.KEEP.value(),
        "keep_revisions": settings.KEEP_REVISIONS.value(),
        "min_age": DEFAULT_MIN_AGE,
        "older_than": settings.OLDER_THAN.value() or 0.0,
        "keep_newest": settings.KEEP_NEWEST.value(),
        "disposal": Disposal.BACKUP if settings.BACKUP.value() else Disposal.DELETE,
        "purge_after": settings.PURGE_AFTER.value(),
    }
    return PruneOptions(**{**of_settings, **values})


def usage_options(arguments: argparse.Namespace) -> UsageOptions:
    """Return the options of ``conda prune usage``. Raises `UsageError` or `SettingError`."""
    if arguments.export is not None and (arguments.json or arguments.html is not None or arguments.by_package):
        raise UsageError(
            "--export can't be combined with --json, --html or --packages.",
            hint="Each writes a document of its own: run the command once for each.",
        )
    if arguments.summary and (arguments.export is not None or arguments.by_package or arguments.environment):
        raise UsageError(
            "--summary can't be combined with NAME, --packages or --export.",
            hint="It summarizes everything. Leave one of them out.",
        )
    return UsageOptions(
        **_planning(arguments),
        environment=arguments.environment,
        by_package=bool(arguments.by_package),
        html=arguments.html,
        export=arguments.export,
        other_caches=arguments.other_caches,
    )


def why_options(arguments: argparse.Namespace) -> WhyOptions:
    """Return the options of ``conda prune why``. Raises `UsageError` or `SettingError`."""
    if not (arguments.specs or arguments.all or arguments.find is not None):
        raise UsageError(
            "Nothing was asked for.",
            hint="Name packages (conda prune why numpy), or give --all or --find DIR; "
            "`conda prune why --help` explains them.",
        )
    if arguments.find == "":
        raise UsageError("--find needs a directory.", hint="`conda prune why --help` explains the options.")
    specs = specs_of("SPEC", arguments.specs)
    return WhyOptions(**_planning(arguments), specs=specs, every=bool(arguments.all), find=arguments.find)


def envs_options(arguments: argparse.Namespace) -> EnvsOptions:
    """Return the options of ``conda prune envs``.

    Raises `UsageError`, `SettingError`, or `ProtectedEnvironmentError` for the removal of a symbolic link.
    """
    _require_sense(arguments)
    planning = _planning(arguments)
    unused_for = parsed(arguments.unused_for, parse_age, None)
    lock_timeout = lock_timeout_of(arguments)
    # A list doesn't fail because of a setting that it doesn't use.
    changing = arguments.remove or arguments.fix_registry
    backup = settings.BACKUP.value() if arguments.backup is None and changing else arguments.backup
    return EnvsOptions(
        **planning,
        environments=tuple(arguments.environments),
        unused_for=unused_for,
        unused_for_text=arguments.unused_for and arguments.unused_for[1],
        remove=bool(arguments.remove),
        fix_registry=bool(arguments.fix_registry),
        force=bool(arguments.force),
        prune=bool(arguments.prune),
        disposal=Disposal.BACKUP if backup else Disposal.DELETE,
        ignore_running=bool(arguments.ignore_running),
        lock_timeout=lock_timeout,
    )


def restore_options(arguments: argparse.Namespace) -> RestoreOptions:
    """Return the options of ``conda prune restore``. Raises `UsageError`."""
    if arguments.run is None:
        if arguments.only is not None:
            raise UsageError("--only needs a RUN.", hint="`conda prune restore last --only SPEC`, for instance.")
        # A list doesn't wait for locks.
        return RestoreOptions(pkgs_dirs=tuple(arguments.pkgs_dir))
    return RestoreOptions(
        run=arguments.run,
        only=parsed(arguments.only, spec_of, None),
        pkgs_dirs=tuple(arguments.pkgs_dir),
        lock_timeout=lock_timeout_of(arguments),
    )


def purge_options(arguments: argparse.Namespace) -> PurgeOptions:
    """Return the options of ``conda prune purge``. Raises `UsageError`."""
    if sum((bool(arguments.runs), arguments.all, arguments.older_than is not None)) != 1:
        raise UsageError(
            "Name the runs to purge, or give either --older-than or --all.",
            hint="`conda prune restore` lists the runs that there are.",
        )
    lock_timeout = lock_timeout_of(arguments)
    return PurgeOptions(
        runs=tuple(arguments.runs),
        older_than=parsed(arguments.older_than, parse_age, None),
        pkgs_dirs=tuple(arguments.pkgs_dir),
        lock_timeout=lock_timeout,
    )


def _planning(
    arguments: argparse.Namespace, targets: Target | None = None, search: Search | None = None
) -> dict[str, Any]:
    """Return the fields of `PlanOptions`; `targets` is for ``conda prune`` itself, other commands use the default."""
    if targets is None:
        targets = DEFAULT | (Target.UNLINKED if arguments.unlinked else Target(0))
    preset: Mapping[str, Any] = _WITH_PRESET if arguments.ci is not None else {}
    return {
        "targets": targets,
        "search": search or Search(),
        "only": specs_of("--only", arguments.only),
        "check_remote": bool(arguments.check_remote),
        "max_size": parsed(arguments.max_size, parse_size, None),
        "free": parsed(arguments.free, parse_size, None),
        "min_age": parsed(arguments.min_age, parse_age, preset.get("min_age", DEFAULT_MIN_AGE)),
        "older_than": value_of(arguments.older_than, parse_age, settings.OLDER_THAN, preset.get("older_than")) or 0.0,
        "keep_newest": value_of(arguments.keep_newest, parse_count, settings.KEEP_NEWEST, preset.get("keep_newest")),
        "include_irreplaceable": bool(arguments.include_irreplaceable),
        "pkgs_dirs": tuple(arguments.pkgs_dir),
        "roots": tuple(arguments.root),
        "configured_roots": settings.ROOTS.value(),
        "searches": tuple(arguments.search),
        "lockfiles": tuple(arguments.lockfile),
        # Lists add up: an option must not lift the protection of a setting.
        "configured_keep": settings.KEEP.value(),
        "keep": specs_of("--keep", arguments.keep),
        "keep_revisions": value_of(arguments.keep_revisions, parse_count, settings.KEEP_REVISIONS),
    }


def _disposal(arguments: argparse.Namespace) -> tuple[Disposal, str | None]:
    """Return how packages are removed, and the absolute path of the directory for archives."""
    if arguments.backup_to is None:
        backup = settings.BACKUP.value() if arguments.backup is None else arguments.backup
        return (Disposal.BACKUP if backup else Disposal.DELETE), None
    if arguments.backup:
        raise UsageError(
            "--backup and --backup-to exclude each other.",
            hint="--backup moves packages aside in the cache, --backup-to archives them elsewhere and deletes them.",
        )
    if not arguments.backup_to:
        raise UsageError("--backup-to needs a directory.", hint=HINT)
    return Disposal.ARCHIVE, os.path.abspath(os.path.expanduser(arguments.backup_to))


def targets_of(arguments: argparse.Namespace) -> Target:
    """Return the targets that the options select."""
    if arguments.ci is not None:
        return targets_of_preset(arguments.ci)
    table = (
        (arguments.packages, Target.PACKAGES),
        (arguments.tarballs, Target.TARBALLS),
        (arguments.all_tarballs, Target.TARBALLS | Target.ALL_TARBALLS),
        (arguments.leftovers, Target.LEFTOVERS),
        # --only selects packages, and temporary files belong to none.
        (arguments.leftovers and not arguments.only, Target.TEMPFILES),
        (arguments.index_cache, Target.INDEX_CACHE),
        (arguments.tempfiles, Target.TEMPFILES),
        (arguments.logfiles, Target.LOGFILES),
        (arguments.all, ALL),
    )
    targets = Target(0)
    for given, target in table:
        if given:
            targets |= target
    if arguments.repair and not targets:
        # It repairs, and removes nothing that was not asked for.
        return Target.REPAIR
    if arguments.verify or arguments.repair:
        targets = (targets or DEFAULT) | Target.LEFTOVERS
    return (targets or DEFAULT) | (Target.UNLINKED if arguments.unlinked else Target(0))


def _search(arguments: argparse.Namespace, targets: Target) -> Search:
    """Return where to look for leftovers: also in packages in use if an option requests that."""
    asked = arguments.leftovers or arguments.all or arguments.verify or arguments.repair
    # An archive is removed only if its extracted directory is complete, which has to be checked.
    everything = asked or Target.ALL_TARBALLS in targets
    return Search(everything=bool(everything), hashes=bool(arguments.verify), repair=bool(arguments.repair))


def _require_sense(arguments: argparse.Namespace) -> None:
    """Refuse meaningless and ambiguous combinations. Raises `UsageError` or `ProtectedEnvironmentError`."""
    chosen = bool(arguments.environments) or arguments.unused_for is not None
    if arguments.remove and not chosen:
        raise UsageError("--remove needs names of environments, or --unused-for.", hint=_ENVS_HINT)
    if arguments.fix_registry and (arguments.remove or chosen):
        raise UsageError("--fix-registry is for the whole registry and goes alone.", hint=_ENVS_HINT)
    if arguments.remove:
        _refuse_links(arguments.environments)
    changing = arguments.remove or arguments.fix_registry
    for option, given, fits in (
        ("--force", arguments.force, changing),
        ("--prune", arguments.prune, arguments.remove),
        ("--backup", arguments.backup is not None, arguments.remove),
    ):
        if given and not fits:
            raise UsageError(f"{option} means nothing without --remove.", hint=_ENVS_HINT)


def _refuse_links(environments: Sequence[str]) -> None:
    """Refuse to remove the target of a symbolic link, because the user may mean the link.

    Raises `ProtectedEnvironmentError`.
    """
    for name in environments:
        path = os.path.abspath(os.path.expanduser(name))
        if os.sep in name and os.path.islink(path):
            raise ProtectedEnvironmentError(
                f"{path} is a symbolic link.",
                hint=f"Name the directory that it leads to, {os.path.realpath(path)}. Nothing was removed.",
                path=path,
            )
