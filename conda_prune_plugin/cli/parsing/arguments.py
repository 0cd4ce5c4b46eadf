"""Turn the command line and ``.condarc`` into the options of the operations, and refuse contradictory ones.

Only here does an `argparse.Namespace` become options.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

from ... import settings
from ...core.rules.policy import DEFAULT_MIN_AGE
from ...core.rules.targets import ALL, DEFAULT, Target
from ...core.run import Check, Disposal
from ...core.units import Unit, plural, size_as_typed
from ...discovery.leftovers.leftover_search import Search
from ...errors import ProtectedEnvironmentError, UsageError
from ...operations.options import (
    DedupeOptions,
    EnvsOptions,
    PlanOptions,
    PruneOptions,
    PurgeOptions,
    RestoreOptions,
    UsageOptions,
    WhyOptions,
)
from .ci_presets import refuse_contrary, targets_of_preset

#: The settings that stand in for options of a plan, by field.
_SETTINGS: dict[str, settings.Setting[Any]] = {
    "configured_roots": settings.ROOTS,
    # Lists add up: an option must not lift the protection of a setting.
    "configured_keep": settings.KEEP,
    "keep_revisions": settings.KEEP_REVISIONS,
    "older_than": settings.OLDER_THAN,
    "keep_newest": settings.KEEP_NEWEST,
}

#: With ``--ci`` these replace settings and the default minimum age, because everything in a job is new.
_WITH_PRESET: dict[str, Any] = {"min_age": 0.0, "older_than": 0.0, "keep_newest": 0}

_ENVS_HINT = "`conda prune envs --help` explains the options."

_Options = TypeVar(
    "_Options", PruneOptions, UsageOptions, WhyOptions, EnvsOptions, DedupeOptions, RestoreOptions, PurgeOptions
)


def _options(kind: type[_Options], arguments: argparse.Namespace, **more: Any) -> _Options:
    """Return the options of a command: `more`, what the command line gives, the preset, or the setting, in this order.

    Raises `SettingError`.
    """
    plans = issubclass(kind, PlanOptions)
    values: dict[str, Any] = {"min_age": DEFAULT_MIN_AGE} if plans else {}
    if getattr(arguments, "preset", None) is not None:
        values |= _WITH_PRESET
    for name in (field.name for field in fields(kind)):
        given = getattr(arguments, name, None)
        if name in more:
            values[name] = more[name]
        elif given not in (None, []):
            values[name] = tuple(given) if isinstance(given, list) else given
        elif plans and name not in values and name in _SETTINGS:
            configured = _SETTINGS[name].value()
            if configured is not None:
                values[name] = configured
    return kind(**values)


def _planned(kind: type[_Options], arguments: argparse.Namespace, **more: Any) -> _Options:
    """Return the options of a command other than ``conda prune`` that plans a prune."""
    targets = DEFAULT | (Target.UNLINKED if arguments.unlinked else Target(0))
    return _options(kind, arguments, **{"targets": targets, "pkgs_dirs": tuple(arguments.pkgs_dir), **more})


def prune_options(arguments: argparse.Namespace) -> PruneOptions:
    """Return the options of ``conda prune``. Raises `UsageError` or `SettingError`."""
    if arguments.preset is not None:
        refuse_contrary(arguments.preset, arguments)
    if arguments.backup and arguments.backup_to is not None:
        raise UsageError(
            "--backup and --backup-to can't be combined.",
            hint="--backup moves packages aside in the cache, --backup-to archives them elsewhere and deletes them.",
        )
    settings.require_all()
    disposal, destination = _removing(arguments.backup), None
    if arguments.preset is not None:
        # Nothing is restored after a job.
        disposal = Disposal.DELETE
    elif arguments.backup_to is not None:
        disposal, destination = Disposal.ARCHIVE, os.path.abspath(os.path.expanduser(arguments.backup_to))
    targets = targets_of(arguments)
    searching = arguments.leftovers or arguments.all or arguments.verify or arguments.repair
    return _planned(
        PruneOptions,
        arguments,
        targets=targets,
        search=Search(
            # An archive is removed only if its extracted directory is complete, which has to be checked.
            everything=searching or Target.ALL_TARBALLS in targets,
            hashes=arguments.verify,
            repair=arguments.repair,
        ),
        disposal=disposal,
        destination=destination,
        check=None if arguments.check is None else _check(arguments),
        purge_after=settings.PURGE_AFTER.value(),
    )


def _check(arguments: argparse.Namespace) -> Check:
    limit, unit = arguments.check
    if unit is Unit.BYTES:
        return Check(limit, size_as_typed(arguments.check_text), unit)
    return Check(limit, plural(limit, "file" if "file" in arguments.check_text.lower() else "inode"), unit)


def prune_options_after_removal(arguments: argparse.Namespace) -> PruneOptions:
    """Return the options of the prune after ``conda prune envs --remove``.

    ``--backup`` applies to the environments only. Raises `UsageError` or `SettingError`.
    """
    return prune_options(argparse.Namespace(**{**vars(arguments), "backup": None}))


def configured_options(**values: Any) -> PruneOptions:
    """Return options with `values`, and the settings for all others. Raises `SettingError`, `TypeError`."""
    settings.require_all()
    unknown = values.keys() - {field.name for field in fields(PruneOptions)}
    if unknown:
        raise TypeError(f"PruneOptions has no field {', '.join(sorted(unknown))}")
    base = {"disposal": _removing(None), "purge_after": settings.PURGE_AFTER.value()}
    return _options(PruneOptions, argparse.Namespace(), **{**base, **values})


def _removing(backup: bool | None) -> Disposal:
    """Return the disposal that ``--backup`` or ``--no-backup``, or else the setting, asks for."""
    return Disposal.BACKUP if (settings.BACKUP.value() if backup is None else backup) else Disposal.DELETE


def usage_options(arguments: argparse.Namespace) -> UsageOptions:
    """Return the options of ``conda prune usage``. Raises `UsageError` or `SettingError`."""
    if arguments.export is not None and (arguments.json or arguments.html is not None or arguments.by_package):
        raise UsageError(
            "--export can't be combined with --json, --html or --packages.",
            hint="Each writes its own document. Run the command once for each.",
        )
    if arguments.summary and (arguments.export is not None or arguments.by_package or arguments.environment):
        raise UsageError(
            "--summary can't be combined with NAME, --packages or --export.",
            hint="It summarizes everything. Leave one of them out.",
        )
    return _planned(UsageOptions, arguments)


def why_options(arguments: argparse.Namespace) -> WhyOptions:
    """Return the options of ``conda prune why``. Raises `UsageError` or `SettingError`."""
    if not (arguments.specs or arguments.all or arguments.find is not None):
        raise UsageError(
            "Name a package, such as numpy.",
            hint="Or give --all or --find DIR; `conda prune why --help` explains them.",
        )
    return _planned(WhyOptions, arguments, every=arguments.all)


def envs_options(arguments: argparse.Namespace) -> EnvsOptions:
    """Return the options of ``conda prune envs``.

    Raises `UsageError`, `SettingError`, or `ProtectedEnvironmentError` for the removal of a symbolic link.
    """
    chosen = bool(arguments.environments) or arguments.unused_for is not None
    changing = arguments.remove or arguments.fix_registry
    if arguments.remove and not chosen:
        raise UsageError("--remove needs names of environments, or --unused-for.", hint=_ENVS_HINT)
    if arguments.fix_registry and (arguments.remove or chosen):
        raise UsageError(
            "--fix-registry can't be combined with names of environments, --unused-for or --remove.", hint=_ENVS_HINT
        )
    if arguments.remove:
        _refuse_base_and_links(arguments.environments)
    for option, given, fits in (
        ("--force", arguments.force, changing),
        ("--prune", arguments.prune, arguments.remove),
        ("--backup", arguments.backup is not None, arguments.remove),
    ):
        if given and not fits:
            raise UsageError(f"{option} has no effect without --remove.", hint=_ENVS_HINT)
    # A list doesn't fail because of a setting that it doesn't use.
    return _planned(EnvsOptions, arguments, disposal=_removing(arguments.backup if changing else False))


def browse_options(arguments: argparse.Namespace) -> EnvsOptions:
    """Return the options of ``conda prune browse``. Raises `UsageError` or `SettingError`."""
    settings.require_all()
    return _planned(EnvsOptions, arguments, disposal=_removing(None))


def _refuse_base_and_links(environments: Sequence[str]) -> None:
    """Refuse to remove conda's base, or the target of a symbolic link, because the user may mean the link.

    Raises `ProtectedEnvironmentError`.
    """
    if "base" in environments:
        raise ProtectedEnvironmentError("The base environment can't be removed.", hint="Nothing was removed.")
    for name in environments:
        path = os.path.abspath(os.path.expanduser(name))
        if os.sep in name and os.path.islink(path):
            raise ProtectedEnvironmentError(
                f"{path} is a symbolic link.",
                hint=f"Name the directory that it leads to, {os.path.realpath(path)}. Nothing was removed.",
                path=path,
            )


def dedupe_options(arguments: argparse.Namespace) -> DedupeOptions:
    """Return the options of ``conda prune dedupe``. Raises `SettingError`."""
    roots = settings.ROOTS.value()
    return _options(DedupeOptions, arguments, pkgs_dirs=tuple(arguments.pkgs_dir), configured_roots=roots)


def restore_options(arguments: argparse.Namespace) -> RestoreOptions:
    """Return the options of ``conda prune restore``. Raises `UsageError`."""
    if arguments.run is None and arguments.only_spec is not None:
        raise UsageError("--only needs a RUN.", hint="For instance: `conda prune restore last --only SPEC`.")
    return _options(RestoreOptions, arguments, only=arguments.only_spec, pkgs_dirs=tuple(arguments.pkgs_dir))


def purge_options(arguments: argparse.Namespace) -> PurgeOptions:
    """Return the options of ``conda prune purge``. Raises `UsageError`."""
    selectors = {
        "names of runs": bool(arguments.runs),
        "--older-than": arguments.older_than is not None,
        "--all": arguments.all,
    }
    given = [name for name, is_given in selectors.items() if is_given]
    if len(given) != 1:
        raise UsageError(
            f"{given[-1]} can't be combined with {' or '.join(given[:-1])}."
            if given
            else "Name the runs to purge, or use --older-than or --all.",
            hint="`conda prune restore` lists the runs, `conda prune purge --all` deletes all backups.",
        )
    return _options(PurgeOptions, arguments, pkgs_dirs=tuple(arguments.pkgs_dir))


def targets_of(arguments: argparse.Namespace) -> Target:
    """Return the targets that the options select."""
    if arguments.preset is not None:
        return targets_of_preset(arguments.preset)
    table = (
        (arguments.packages, Target.PACKAGES),
        (arguments.tarballs, Target.TARBALLS),
        (arguments.all_tarballs, Target.TARBALLS | Target.ALL_TARBALLS),
        (arguments.leftovers, Target.LEFTOVERS),
        # --only selects packages, and temporary files belong to none.
        (arguments.leftovers and not arguments.only, Target.TEMPFILES),
        (arguments.index_cache, Target.INDEX_CACHE),
        (arguments.tempfiles is not None, Target.TEMPFILES),
        (arguments.logfiles, Target.LOGFILES),
        (arguments.all, ALL),
    )
    targets = Target(0)
    for given, target in table:
        if given:
            targets |= target
    if arguments.repair and not targets:
        # It repairs, and removes nothing unless asked to.
        return Target.REPAIR
    if arguments.verify or arguments.repair:
        targets = (targets or DEFAULT) | Target.LEFTOVERS
    return (targets or DEFAULT) | (Target.UNLINKED if arguments.unlinked else Target(0))
