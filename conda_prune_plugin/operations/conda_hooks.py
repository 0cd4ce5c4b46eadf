"""What conda does outside of an environment when it removes or creates one: scripts, menu items, lines of registries.

The functions for scripts and menu items are those that conda's transactions call
(`conda.core.link.UnlinkLinkTransaction`); the transactions themselves unlink the files one by one, which
`execution.remove_environments` does better.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from functools import partial

from .. import failures
from ..core.model import Cache
from ..discovery.clients.conda import Settings, conda_settings
from ..discovery.roots.conda_meta import is_environment
from ..discovery.roots.environments import known_prefixes
from ..discovery.roots.environments_txt import registered_prefixes
from ..discovery.roots.envs_dirs import has_records
from ..discovery.system.deep_paths import real_path
from ..execution.files.environments_txt_lines import take_out
from ..execution.state.stored_runs import stored_runs


def is_registered(registries: Iterable[str], prefix: str) -> bool:
    """Return True if a readable registry has an environment by this very path."""
    for registry in registries:
        with suppress(OSError):
            if prefix in registered_prefixes(registry):
                return True
    return False


def register_found(settings: Settings, lines: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """Register the environments that only some lines of the registry lead to, before these lines are removed.

    Such an environment lies beside one that a line names. Returns the environments that were registered, and what
    failed: then the lines have to stay.
    """
    if not lines:
        return (), None
    rest = known_prefixes(replace(settings, forgotten=frozenset(lines)))
    found = sorted(filter(has_records, known_prefixes(settings) - rest - frozenset(lines)))
    found = [prefix for prefix in found if _may_be_environment(prefix)]
    for prefix in found:
        try:
            register(prefix)
        except OSError as error:
            return (), f"{prefix} could not be registered: {error.strerror or error}"
        if not is_registered(settings.registries, prefix):
            return (), f"{prefix} could not be registered"
    return tuple(found), None


def _may_be_environment(prefix: str) -> bool:
    try:
        return is_environment(prefix)
    except OSError as error:
        failures.note(error)
        return True


def unregister(registries: Iterable[str], prefix: str) -> str | None:
    """Remove an environment from registries, however they spell its path; return what failed."""
    real = failures.realpath(prefix)
    troubles = []
    for registry in registries:
        try:
            lines = (line for line in registered_prefixes(registry) if real_path(line) == real)
            named = tuple(dict.fromkeys((prefix, *lines)))
            _, trouble = register_found(conda_settings(), named)
            if trouble is None:
                take_out(registry, named)
            else:
                troubles.append(f"it stays in {registry}: {trouble}")
        except FileNotFoundError:
            continue
        except OSError as error:
            troubles.append(f"it could not be removed from {registry}: {error.strerror or error}")
    return "; ".join(troubles) or None


def unregister_removed(registries: Sequence[str], places: Iterable[Cache]) -> None:
    """Unregister environments that earlier runs removed; one that was killed in between has left its line."""
    for place in places:
        for run in stored_runs(place):
            for entry in run.receipt.entries if run.receipt and run.complete else ():
                prefix = os.path.join(place.path, entry.dist)
                if not failures.lexists(prefix):
                    unregister(registries, prefix)


def run_removal_hooks(prefix: str) -> str | None:
    """Run the pre-unlink scripts of the packages of an environment and remove its menu items.

    Returns what failed, or None. An environment without either, as almost all are, is not even loaded.
    """

    def matching(*patterns: str) -> list[str]:
        # A pattern that begins with a dot matches hidden names.
        found = (path for pattern in patterns for path in glob.glob(os.path.join(glob.escape(prefix), pattern)))
        return sorted(os.path.relpath(path, prefix) for path in found)

    scripts = matching("bin/.*-pre-unlink.sh", "Scripts/.*-pre-unlink.bat")
    menus = matching("Menu/*.json")
    troubles: list[str] = []
    if foreign := [name for name in scripts if not _is_own(os.path.join(prefix, name))]:
        troubles.append(f"its pre-unlink scripts were not run, because {foreign[0]} belongs to another user")
        scripts = []
    actions = [("its pre-unlink scripts", partial(_run_scripts, prefix))] if scripts else []
    actions += [(f"its menu {menu}", partial(_remove_menu, prefix, menu)) for menu in menus]
    # All of them print, and standard output may be a JSON document.
    with redirect_stdout(sys.stderr):
        for what, act in actions:
            try:
                act()
            except Exception as error:  # noqa: BLE001
                # Scripts of packages and menuinst raise anything. The environment is removed all the same, as by conda.
                troubles.append(f"{what}: {' '.join(str(error).split()) or type(error).__name__}")
    return "; ".join(troubles) or None


def _is_own(path: str) -> bool:
    """Return True if only this user or root, or users whom they allow, can have written a script."""
    if not hasattr(os, "geteuid"):
        return True
    return os.lstat(path).st_uid in (0, os.geteuid())


def register(prefix: str) -> None:
    """Add an environment to this user's registry, as conda does after a creation."""
    from conda.core.envs_manager import register_env

    register_env(prefix)


def _run_scripts(prefix: str) -> None:
    from conda.core.link import run_script
    from conda.core.prefix_data import PrefixData

    records = PrefixData(prefix, False).iter_records()
    failed = [record.name for record in records if not run_script(prefix, record, "pre-unlink")]
    if failed:
        raise OSError(f"failed for {', '.join(sorted(failed))}")


def _remove_menu(prefix: str, menu: str) -> None:
    """Remove a menu item as conda's `make_menu` does, which prints a traceback instead of raising an error."""
    from conda.base.context import context

    try:
        from menuinst import install
    except ImportError as error:
        raise OSError("menuinst, which would remove it, is not installed") from error
    install(os.path.join(prefix, menu), remove=True, prefix=prefix, root_prefix=context.root_prefix)
