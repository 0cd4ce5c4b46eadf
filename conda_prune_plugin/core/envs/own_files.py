"""The user's own work in an environment: files of no package, outside the directories that programs write to.

Such an environment is removed only with ``--force``, which keeps these files. There are three signs of them: a git
repository; a file older than the environment, which nothing in it can have made; more than `FEW` other files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: How long the creation of an environment may take, in seconds: its files are older than conda's note of it.
CREATION = 3600.0

#: So many files outside the programs' directories are no sign of work: tools leave a few anywhere.
FEW = 3

#: The directories that programs write to, by the first name below the prefix. Packages and pip: ``bin``, ``lib``
#: (site-packages, R's library, npm's node_modules, gems), and their like on Windows. Julia: ``share/julia``. cargo and
#: rustup: ``.cargo``, ``.rustup``, ``.crates.toml``. go: ``go``. conda: its notes. Programs that take the prefix for a
#: home: names with a dot. ``pkgs`` and ``envs`` are protected on their own.
_PROGRAMS = frozenset(
    (
        *("conda-meta", "bin", "sbin", "lib", "lib32", "lib64", "libexec", "include", "share", "var", "etc", "man"),
        *("ssl", "fonts", "info", "Menu", "Scripts", "Library", "DLLs", "Lib", "Tools", "pkgs"),
        *("envs", "go", ".cargo", ".rustup", ".crates.toml", ".crates2.json", ".npm", ".julia", ".local", ".config"),
        *(".jupyter", ".ipython", ".condarc", ".nonadmin", ".messages.txt", ".DS_Store", "pyvenv.cfg"),
        *("CACHEDIR.TAG", "desktop.ini"),
    )
)

#: What programs create in any directory.
_MADE = frozenset(
    ("__pycache__", ".cache", "node_modules", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache", ".ruff_cache")
)

#: Where tools clone repositories for themselves: cargo dependencies and its index, pre-commit hooks.
_OTHERS_CLONES = (".cargo/", ".cache/pre-commit/")

GIT = ".git"


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """The user's own work in an environment; paths below the prefix, as conda's records write them.

    repositories: directories with a ``.git``; ``.`` is the prefix. older: files older than the environment.
    files: all of the user's. kept: the same as few paths as possible: directories with nothing else in them, and files.
    """

    repositories: tuple[str, ...]
    older: tuple[str, ...]
    files: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def many(self) -> bool:
        """Whether there are more files than tools leave."""
        return len(self.files) > FEW


def is_programs_place(path: str) -> bool:
    """Return whether a path is in a directory that programs write to."""
    first, *others = path.split("/")
    return first in _PROGRAMS or first in _MADE or not _MADE.isdisjoint(others)


def may_hold_work(path: str) -> bool:
    """Return whether a repository in a directory would be the user's."""
    return not any(f"/{place}" in f"/{path}/" for place in _OTHERS_CLONES)


def own_files(
    unowned: Iterable[tuple[str, float]], owned: Iterable[str], repositories: Iterable[str], created: float | None
) -> OwnFiles | None:
    """Return the user's own work in an environment, None if there is no sign of any.

    unowned: the files of no package with their times of modification, in seconds since the epoch; of those in the
    programs' places only what lies in one of the `repositories`, which are paths of directories ("" for the prefix).
    owned: the files of packages that lie beside them. created: when the environment was.
    """
    changed = dict(unowned)
    # One that a package brought is not the user's.
    gits = {name for path in changed for name in (*_above(path), path) if f"/{name}".endswith(f"/{GIT}")}
    tops = {top for top in repositories if (f"{top}/{GIT}" if top else GIT) in gits}
    theirs = {path for path in changed if is_programs_place(path) and tops.isdisjoint(_above(path))}
    mine = sorted(changed.keys() - theirs)
    older = tuple(path for path in mine if created is not None and changed[path] < created - CREATION)
    if not (tops or older or len(mine) > FEW):
        return None
    shared = {above for path in owned for above in _above(path)}
    kept = dict.fromkeys(_topmost(path, shared, tops) for path in mine)
    return OwnFiles(tuple(sorted(top or "." for top in tops)), older, tuple(mine), tuple(kept))


def _topmost(path: str, shared: set[str], repositories: set[str]) -> str:
    """Return the topmost directory above a file that holds only the user's files, or else the file."""
    inside = False
    for above in _above(path):
        inside |= above in repositories
        if above not in shared and (inside or not is_programs_place(above)):
            return above
    return path


def _above(path: str) -> Iterator[str]:
    """Give the directories above a path, the topmost first; without the prefix itself."""
    end = path.find("/")
    while end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)
