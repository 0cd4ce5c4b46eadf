"""conda's actions outside of an environment when it removes or creates one.

The functions are those that its transactions call (`conda.core.link.UnlinkLinkTransaction`); the transactions
themselves unlink the files one by one, which `execution.remove_environments` does better.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout

_SCRIPTS = ("bin/.*-pre-unlink.sh", "Scripts/.*-pre-unlink.bat")
_MENUS = "Menu/*.json"


def run_removal_hooks(prefix: str) -> str | None:
    """Run the pre-unlink scripts of the packages of an environment and remove its menu items.

    Returns what went wrong, or None. An environment without either, as almost all are, is not even loaded.
    """
    scripts = [name for pattern in _SCRIPTS for name in _found(prefix, pattern)]
    menus = _found(prefix, _MENUS)
    troubles: list[str] = []
    if foreign := [name for name in scripts if not _is_own(os.path.join(prefix, name))]:
        troubles.append(f"its pre-unlink scripts were not run, as {foreign[0]} belongs to another user")
        scripts = []
    # Both print, and standard output may be a JSON document.
    with redirect_stdout(sys.stderr):
        if scripts:
            _attempt(lambda: _run_scripts(prefix), "its pre-unlink scripts", troubles)
        for menu in menus:
            _attempt(lambda menu=menu: _remove_menu(prefix, menu), f"its menu {menu}", troubles)  # type: ignore[misc]
    return "; ".join(troubles) or None


def _is_own(path: str) -> bool:
    """Return whether only the caller or root can have written a script, and those whom they let."""
    if not hasattr(os, "geteuid"):
        return True
    return os.lstat(path).st_uid in (0, os.geteuid())


def register(prefix: str) -> None:
    """Put an environment into this user's registry, as conda does after a creation."""
    from conda.core.envs_manager import register_env

    register_env(prefix)


def _found(prefix: str, pattern: str) -> list[str]:
    # A pattern that begins with a dot matches hidden names.
    return sorted(os.path.relpath(path, prefix) for path in glob.glob(os.path.join(glob.escape(prefix), pattern)))


def _attempt(act: Callable[[], None], what: str, troubles: list[str]) -> None:
    try:
        act()
    except Exception as error:  # noqa: BLE001
        # Scripts of packages and menuinst raise whatever they like; the environment goes all the same, as with conda.
        troubles.append(f"{what}: {' '.join(str(error).split()) or type(error).__name__}")


def _run_scripts(prefix: str) -> None:
    from conda.core.link import run_script
    from conda.core.prefix_data import PrefixData

    records = PrefixData(prefix, False).iter_records()
    failed = [record.name for record in records if not run_script(prefix, record, "pre-unlink")]
    if failed:
        raise OSError(f"failed for {', '.join(sorted(failed))}")


def _remove_menu(prefix: str, menu: str) -> None:
    """Remove a menu item as conda's `make_menu` does, which prints a traceback instead of saying what went wrong."""
    from conda.base.context import context

    try:
        from menuinst import install
    except ImportError as error:
        raise OSError("menuinst, which would remove it, is not installed") from error
    install(os.path.join(prefix, menu), remove=True, prefix=prefix, root_prefix=context.root_prefix)
