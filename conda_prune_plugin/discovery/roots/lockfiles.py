"""Read the packages that lockfiles name: ``@EXPLICIT`` files, ``conda-lock.yml``, ``pixi.lock``, ``environment.yml``.

A file's content tells its format. Packages are known by the file name in their url, which is their dist; hashes are not
compared, so an entry of the same name with another hash is kept as well. Those of all platforms and environments in a
file are kept. For any other format conda's plugins are asked (`requested_packages`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from ...core import dist_names
from ...core.dist_names import is_dist_name
from ...core.model import Cache, Root, RootKind, RootState
from ...core.notices import Notice
from ...errors import LockfileError, UsageError
from ..clients.archive_names import WHEEL, archive_dist
from ..clients.conda_specs import PackageSpec, requested_packages
from ..packages.match_spec import matching
from ..packages.package_identity import Names
from ..system.safe_read import read_regular
from ..system.yaml_nodes import BrokenYamlError, Node, compose

_EXPLICIT = "@EXPLICIT"

#: A word with a colon that is no drive of Windows, or the rest of a url that is cut off behind it.
_SCHEME = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9+.-]+):|https?$|file$")

#: The longest line that is read, in characters: a url with a hash and credentials is far shorter.
_LONGEST_LINE = 1 << 16

#: The value that YAML has for a key without one.
_NOTHING = ("", "~", "null")


@dataclass(frozen=True, slots=True)
class Lockfile:
    """The dists that a lockfile names, or the package specifications of an ``environment.yml``, each with its line.

    maybe: paths of source directories that could as well be packages whose suffix was lost.
    """

    path: str
    dists: Mapping[str, int] = field(default_factory=dict)
    specs: Mapping[str, int] = field(default_factory=dict)
    maybe: Mapping[str, int] = field(default_factory=dict)


#: mamba's key for dependencies of some platforms (``eval_selector`` in ``libmamba/src/api/install.cpp``).
_SELECTOR = re.compile(r"sel\(.*\)")

#: The keys for dependencies that another installer than conda installs.
_INSTALLERS = frozenset({"pip", "uv"})

#: A field of `Lockfile`, a key for it, and the line.
_Named = tuple[str, str, int]


class _BrokenError(Exception):
    """A line that can't be understood, and why."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


class _UnknownFormatError(_BrokenError):
    """A file of another format."""


def read_lockfile(name: str) -> Lockfile:
    """Read a lockfile. Raises `LockfileError`, with file and line, for what can't be read or understood.

    Raises `UsageError` for an empty name.
    """
    if not name:
        # An empty name would mean the current directory.
        raise UsageError("--lockfile needs the name of a file.", hint="`conda prune --help-all` explains the options.")
    path = os.path.abspath(os.path.expanduser(name))
    found: dict[str, dict[str, int]] = {"dists": {}, "specs": {}, "maybe": {}}
    try:
        for kind, named, line in _named_in(path):
            found[kind][named] = line
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror or str(error) if isinstance(error, OSError) else "it is not text in UTF-8"
        raise LockfileError(
            f"The lockfile {path} can't be read: {problem}.",
            hint="Nothing was removed. Give --lockfile a file that exists and that you may read.",
            path=path,
        ) from error
    except _BrokenError as error:
        raise LockfileError(
            f"The lockfile {path} is broken in line {error.line}: {error}.",
            hint="Nothing was removed, because the packages in the file are unknown. "
            "Write it again with the tool that made it.",
            path=path,
        ) from error
    return Lockfile(path, **found)


def lockfile_root(
    lockfile: Lockfile, caches: Iterable[Cache], names: Names | None = None
) -> tuple[Root, tuple[Notice, ...]]:
    """Return a lockfile as a root, with warnings about paths that may mean packages, but none in the caches.

    An ``environment.yml`` references every cached package that matches.
    """
    lines = dict(lockfile.dists)
    for spec, line in lockfile.specs.items():
        for entry in matching((spec,), caches, doubtful=True, names=names):
            lines.setdefault(entry.dist, line)
    cached = {entry.dist for cache in caches for entry in cache.entries}
    notices = []
    for source, line in lockfile.maybe.items():
        if _last(source) in cached:
            lines.setdefault(_last(source), line)
        else:
            message = (
                f"{lockfile.path}, line {line}: {source} is read as a source directory. "
                "No package in the caches has this name."
            )
            notices.append(Notice("no-match", message, lockfile.path))
    # conda's plugins don't say in which line a package is.
    notes = {dist: f", line {line}" for dist, line in lines.items() if line}
    name = os.path.basename(lockfile.path)
    return Root(lockfile.path, name, RootState.OK, frozenset(lines), RootKind.LOCKFILE, notes=notes), tuple(notices)


def _last(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]


def _named_in(path: str) -> Iterator[_Named]:
    """Give the packages in a file. Raises `_BrokenError`, `OSError` or `UnicodeDecodeError`."""
    try:
        yield from _named(read_regular(path).decode("utf-8-sig"))
    except _UnknownFormatError:
        try:
            specs = requested_packages(path)
        except ValueError as refusal:
            raise _BrokenError(1, str(refusal)) from refusal
        if not specs:
            raise
        yield from (("specs", spec, 0) for spec in specs)


def _named(text: str) -> Iterator[_Named]:
    """Return the packages in a lockfile of any format. Raises `_BrokenError`."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        # No tool writes one, and reading YAML takes a microsecond a character.
        if len(line) > _LONGEST_LINE:
            raise _BrokenError(number, f"it has {len(line):,} characters")
    urls = [(line.strip(), number) for number, line in enumerate(lines, 1)]
    if any(url == _EXPLICIT for url, _ in urls):
        return (_dist(url, line) for url, line in urls if url not in ("", _EXPLICIT) and not url.startswith("#"))
    try:
        top = compose(text)
    except BrokenYamlError as error:
        raise _UnknownFormatError(error.line, str(error)) from error
    return _in_yaml(top)


def _in_yaml(top: Node | None) -> Iterator[_Named]:
    keys = top.mapping if top else {}
    key = next(filter(keys.__contains__, _FORMATS), None)
    if top is None or key is None:
        raise _UnknownFormatError(
            1, "it is not an @EXPLICIT file, a conda-lock.yml, a pixi.lock, a conda.lock or an environment.yml"
        )
    versions, read = _FORMATS[key]
    version = keys.get("version")
    if versions and (version is None or version.text not in versions):
        problem = "has no version" if version is None else f"has version {version.text}"
        raise _BrokenError((version or top).line, f"it {problem}; supported are {', '.join(versions)}")
    packages = keys[key]
    if isinstance(packages.value, list):
        for package in packages.value:
            yield from read(package)
    elif packages.value not in _NOTHING:
        raise _BrokenError(packages.line, "there should be a list")


def _text(keys: Mapping[str, Node], key: str) -> str:
    return keys[key].text if key in keys else ""


def _conda_lock(package: Node) -> Iterator[_Named]:
    keys = package.mapping
    if _text(keys, "manager") != "pip":
        if "url" not in keys:
            raise _BrokenError(package.line, "a package without a url")
        yield _dist(keys["url"].text, keys["url"].line)


def _pixi(package: Node) -> Iterator[_Named]:
    keys = package.mapping
    if "pypi" in keys or _text(keys, "kind") == "pypi":
        return
    # Up to version 5 the url has a key of its own.
    url = keys.get("url") or keys.get("path") if "kind" in keys else keys.get("conda")
    if url is None:
        if "conda_source" not in keys:
            raise _BrokenError(package.line, "a package that is neither conda's nor PyPI's")
        return
    text = url.text.strip()
    if text in _NOTHING:
        # YAML puts a missing value where the next thing begins.
        raise _BrokenError(package.line, "a package without a url or a path")
    scheme = _SCHEME.match(text)
    is_archive = archive_dist(text.split("#", 1)[0].split("?", 1)[0]) is not None
    if is_archive or (scheme and not (scheme["name"] or "").startswith("git+")):
        yield _dist(text, url.line)
    elif is_dist_name(_last(text)):
        # It is built from sources, in a directory or a repository, and has no dist yet.
        yield "maybe", text, url.line


def _environment(dependency: Node) -> Iterator[_Named]:
    """Give the specifications in a dependency: also those for other platforms, where the file may be used too."""
    specs = [] if dependency.mapping else [dependency]
    for key, value in dependency.mapping.items():
        if _SELECTOR.fullmatch(key):
            specs += value.value if isinstance(value.value, list) else [value]
        elif key not in _INSTALLERS:
            raise _BrokenError(dependency.line, f"{key!r} is not a dependency that conda or mamba understands")
    for spec in specs:
        try:
            PackageSpec(spec.text)
        except ValueError as error:
            raise _BrokenError(spec.line, str(error)) from error
        yield "specs", spec.text, spec.line


#: By the key of its list of packages: the supported versions of a format, empty where it has no versions, and
#: the reader of an item. The first versions of pixi's format were those of conda-lock.
_FORMATS: Mapping[str, tuple[tuple[str, ...], Callable[[Node], Iterator[_Named]]]] = {
    "package": (("1", "2", "3"), _conda_lock),
    # Version 1 is conda.lock of conda-workspaces, which is else version 6.
    "packages": (("1", "4", "5", "6", "7"), _pixi),
    "dependencies": ((), _environment),
}


def _dist(url: str, line: int) -> _Named:
    """Return the dist of the archive at a url or path; a hash or credentials around it don't matter."""
    file_name = unquote(url.split("#", 1)[0].split("?", 1)[0].strip().replace("\\", "/").rsplit("/", 1)[-1])
    # A wheel is a package too where conda-pypi is, which this conda needn't have.
    dist = archive_dist(file_name) or dist_names.archive_dist(file_name, (WHEEL,))
    if dist is None or not is_dist_name(dist):
        raise _BrokenError(line, f"{url!r} is not the url of a package (name-version-build.conda, for instance)")
    return "dists", dist, line
