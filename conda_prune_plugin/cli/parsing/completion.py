"""Completion of the command line by argcomplete, where it is installed.

The shell runs the program with ``_ARGCOMPLETE`` and ``COMP_LINE`` in its environment and reads what it suggests.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

#: The most names that are suggested.
_MOST = 1_000


def asked_of(environ: Any) -> int | None:
    """Return how many words of the line come before the options of ``conda prune``; None if it isn't its line."""
    words = environ.get("COMP_LINE", "").split(None, 2)
    first = os.path.basename(words[0]).removesuffix(".exe") if words else ""
    if first == "conda-prune":
        return 1
    return 2 if first == "conda" and words[1:2] == ["prune"] else None


def complete(parser: argparse.ArgumentParser, words: int) -> None:
    """Print what may stand at the cursor, and end the program; `words` of the line are the program's name."""
    try:
        import argcomplete
    except ImportError:
        # Without it the command would run. The shell shows nothing of this.
        raise SystemExit(1) from None
    from .parsers import configure_parser

    # conda adds it afterwards.
    parser.add_argument("-h", "--help", action="help")
    configure_parser(parser)
    _attach(parser, ())
    os.environ["_ARGCOMPLETE"] = str(words)
    argcomplete.autocomplete(parser, always_complete_options=False)


def _attach(parser: argparse.ArgumentParser, commands: Iterable[str]) -> None:
    """Give each argument of a parser and of its commands a completer for its kind of value."""
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    completers: dict[str, Callable[..., Iterable[str]]] = {
        "NAME": quietly(environments),
        "RUN": quietly(runs),
        "SPEC": quietly(packages),
        "COMMAND": lambda **_: commands,
        "DIR": DirectoriesCompleter(),
        "PREFIX": DirectoriesCompleter(),
        "FILE": FilesCompleter(),
    }
    # argparse has no other way to ask for its arguments.
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                _attach(command, list(action.choices))
        elif not action.choices:
            # Sizes, ages and numbers: nothing is suggested, in place of files.
            completer = completers.get(str(action.metavar), lambda **_: ())
            action.completer = completer  # type: ignore[attr-defined]


def environments() -> list[str]:
    """Return the environments in conda's directories by name, and other registered ones by path."""
    from ...discovery.clients.conda import conda_settings
    from ...discovery.roots.environments_txt import registered_prefixes

    settings = conda_settings()
    names: dict[str, None] = {}
    for directory in settings.envs_dirs:
        with suppress(OSError):
            names.update(
                dict.fromkeys(
                    entry.name for entry in os.scandir(directory) if os.path.isdir(os.path.join(entry, "conda-meta"))
                )
            )
    for registry in settings.registries:
        with suppress(OSError):
            paths = registered_prefixes(registry)
            names.update(dict.fromkeys(path for path in paths if os.path.dirname(path) not in settings.envs_dirs))
    return list(names)


def runs() -> list[str]:
    """Return the ids of the runs that can be restored or purged, the newest first after ``last``."""
    from ...operations.options import RestoreOptions
    from ...operations.runs.run_store import list_runs

    found = [run.id for run in list_runs(RestoreOptions()).runs]
    return ["last", *reversed(found)] if found else []


def packages() -> list[str]:
    """Return the names of the packages in the caches."""
    from ...discovery.clients.conda import conda_settings

    names: set[str] = set()
    for cache in conda_settings().pkgs_dirs:
        with suppress(OSError):
            parts = (name.rsplit("-", 2) for name in os.listdir(cache))
            names.update(part[0] for part in parts if len(part) == 3 and part[0])
    return sorted(names)


def quietly(names: Callable[[], list[str]]) -> Callable[..., list[str]]:
    """Return what gives the names with a beginning, and none on errors, for which the shell has no place."""
    from ...errors import CondaError, PruneError

    def suggest(prefix: str, **_: object) -> list[str]:
        try:
            return [name for name in names() if name.startswith(prefix)][:_MOST]
        except (PruneError, CondaError, OSError, AttributeError, TypeError):
            # conda raises the last two for some values of its settings.
            return []

    return suggest
