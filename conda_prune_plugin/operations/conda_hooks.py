"""What conda does outside of an environment when it removes or creates one.

The functions are those that conda's transactions call (`conda.core.link.UnlinkLinkTransaction`); the transactions
themselves unlink the files one by one, which `execution.remove_environments` does better.
"""

from __future__ import annotations

import glob
import os
import sys
from contextlib import redirect_stdout
from functools import partial


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
