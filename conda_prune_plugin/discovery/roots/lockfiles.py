"""Read the packages that lockfiles name: ``@EXPLICIT`` files, ``conda-lock.yml``, ``pixi.lock``, ``environment.yml``.

A file tells its format by its content. Packages are known by the file name in their url, which is their dist; hashes
are not compared: an entry of the same name with another hash stays as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import unquote

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ...core.dist_names import is_dist_name
from ...core.model import Cache, Root, RootKind, RootState
from ...core.notices import Notice
from ...errors import LockfileError, UsageError
from ..clients.archive_names import archive_dist
from ..clients.conda_specs import PackageSpec
from ..packages.match_spec import matching
from ..packages.package_identity import Names
from ..system.safe_read import read_regular

_EXPLICIT = "@EXPLICIT"

#: Versions of the formats that are understood; the first of pixi's were those of conda-lock.
_CONDA_LOCK_VERSIONS = ("1", "2", "3")
_PIXI_VERSIONS = ("4", "5", "6", "7")

#: A word with a colon that is no drive of Windows. What is cut off behind it is no path either.
_SCHEME = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9+.-]+):|https?$|file$")

#: The longest line that is read, in characters: a url with a hash and credentials is far shorter.
_LONGEST_LINE = 1 << 16

_FORMATS = "an @EXPLICIT file, a conda-lock.yml, a pixi.lock or an environment.yml"


@dataclass(frozen=True, slots=True)
class Lockfile:
    """What a lockfile names, each with its line: dists, and of an ``environment.yml`` specifications.

    maybe: paths of sources that could as well be those of packages whose suffix was lost.
    """

    path: str
    dists: Mapping[str, int] = field(default_factory=dict)
    specs: Mapping[str, int] = field(default_factory=dict)
    maybe: Mapping[str, int] = field(default_factory=dict)


def read_lockfile(name: str) -> Lockfile:
    """Read a lockfile. Raises `LockfileError`, with file and line, for what can't be read or understood.

    Raises `UsageError` for no name at all.
    """
    if not name:
        # The name of the present directory otherwise, which nobody means.
        raise UsageError("--lockfile needs the name of a file.", hint="`conda prune --help-all` explains the options.")
    path = os.path.abspath(os.path.expanduser(name))
    try:
        text = read_regular(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror or str(error) if isinstance(error, OSError) else "it is not text in UTF-8"
        raise LockfileError(
            f"The lockfile {path} can't be read: {problem}.",
            hint="Nothing was removed. Give --lockfile a file that exists and that you may read.",
            path=path,
        ) from error
    lines = text.splitlines()
    _require_sane_lines(path, lines)
    if any(line.strip() == _EXPLICIT for line in lines):
        return Lockfile(path, dists=dict(_explicit(path, lines)))
    return _yaml(path, text)


def lockfile_root(lockfile: Lockfile, caches: Iterable[Cache], names: Names | None = None) -> Root:
    """Return a lockfile as a root; what an ``environment.yml`` asks for is all that matches in the caches."""
    lines = dict(lockfile.dists)
    for spec, line in lockfile.specs.items():
        for entry in matching((spec,), caches, doubtful=True, names=names):
            lines.setdefault(entry.dist, line)
    for source, line in _in_caches(lockfile, caches).items():
        lines.setdefault(_last(source), line)
    return Root(
        lockfile.path,
        os.path.basename(lockfile.path),
        RootState.OK,
        frozenset(lines),
        RootKind.LOCKFILE,
        notes={dist: f", line {line}" for dist, line in lines.items()},
    )


def unmatched(lockfile: Lockfile, caches: Iterable[Cache]) -> tuple[Notice, ...]:
    """Return warnings about what may be meant for a package but is none of the caches' ones."""
    return tuple(
        Notice(
            "no-match",
            f"{lockfile.path}, line {line}: {source} is read as a source directory. No package in the caches has "
            "this name.",
            lockfile.path,
        )
        for source, line in lockfile.maybe.items()
        if source not in _in_caches(lockfile, caches)
    )


def _in_caches(lockfile: Lockfile, caches: Iterable[Cache]) -> dict[str, int]:
    dists = {entry.dist for cache in caches for entry in cache.entries}
    return {source: line for source, line in lockfile.maybe.items() if _last(source) in dists}


def _last(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]


def _broken(path: str, line: int, problem: str) -> NoReturn:
    raise LockfileError(
        f"The lockfile {path} is broken in line {line}: {problem}.",
        hint="Nothing was removed, because what the file names is not known. Write it anew with the tool it is from.",
        path=path,
    )


def _require_sane_lines(path: str, lines: list[str]) -> None:
    """Refuse a line that no tool writes: reading YAML takes a microsecond a letter. Raises `LockfileError`."""
    for number, line in enumerate(lines, 1):
        if len(line) > _LONGEST_LINE:
            _broken(path, number, f"it has {len(line):,} characters")


def _explicit(path: str, lines: list[str]) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(lines, 1):
        words = line.strip()
        if words and words != _EXPLICIT and not words.startswith("#"):
            yield _dist(path, number, words), number


def _dist(path: str, line: int, url: str) -> str:
    """Return the dist that the archive at a url or path has; a hash or credentials around it don't matter."""
    file_name = unquote(url.split("#", 1)[0].split("?", 1)[0].strip().replace("\\", "/").rsplit("/", 1)[-1])
    dist = archive_dist(file_name)
    if dist is None or not is_dist_name(dist):
        _broken(path, line, f"{url!r} is not the url of a package (name-version-build.conda, for instance)")
    return dist


def _yaml(path: str, text: str) -> Lockfile:
    try:
        # Nodes and not values: these know their lines.
        top = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        _broken(path, mark.line + 1 if mark else 1, error.problem or "it is no YAML")
    except (YAMLError, RecursionError, ValueError) as error:
        # A character that YAML does not know has an offset, and no mark.
        before = text[: getattr(error, "position", 0)]
        _broken(path, before.count("\n") + 1, "it is no YAML")
    keys = _mapping(top)
    if "package" in keys:
        _require_version(path, top, keys, _CONDA_LOCK_VERSIONS)
        return Lockfile(path, dists=dict(_conda_lock(path, _items(path, keys["package"]))))
    if "packages" in keys:
        _require_version(path, top, keys, _PIXI_VERSIONS)
        places = [(place, _is_source(path, place)) for place in _pixi(path, _items(path, keys["packages"]))]
        sources = {_text(place) or "": _line(place) for place, is_source in places if is_source}
        return Lockfile(
            path,
            dists=dict(_located(path, place) for place, is_source in places if not is_source),
            maybe={source: line for source, line in sources.items() if is_dist_name(_last(source))},
        )
    if "dependencies" in keys:
        return Lockfile(path, specs=dict(_environment(path, _items(path, keys["dependencies"]))))
    _broken(path, 1, f"it is not {_FORMATS}")


def _conda_lock(path: str, packages: list[Node]) -> Iterator[tuple[str, int]]:
    for package in packages:
        keys = _mapping(package)
        if _text(keys.get("manager")) == "pip":
            continue
        if "url" not in keys:
            _broken(path, _line(package), "a package without a url")
        yield _located(path, keys["url"])


def _pixi(path: str, packages: list[Node]) -> Iterator[Node]:
    """Give where each package of conda comes from."""
    for package in packages:
        keys = _mapping(package)
        if "pypi" in keys or _text(keys.get("kind")) == "pypi":
            continue
        # Up to version 5 the url has a key of its own.
        url = keys.get("url") or keys.get("path") if "kind" in keys else keys.get("conda")
        if url is None:
            if "conda_source" not in keys:
                _broken(path, _line(package), "a package that is neither conda's nor PyPI's")
        elif (_text(url) or "").strip() in ("", "~", "null"):
            # Nothing at all is found by YAML where the next thing begins.
            _broken(path, _line(package), "a package without a url or a path")
        else:
            yield url


def _is_source(path: str, url: Node) -> bool:
    """Return whether a package is built from sources in a directory or a repository: it is not known by a name yet."""
    text = (_text(url) or "").strip()
    if archive_dist(text.split("#", 1)[0].split("?", 1)[0]) is not None:
        return False
    scheme = _SCHEME.match(text)
    return scheme is None or (scheme["name"] or "").startswith("git+")


def _environment(path: str, dependencies: list[Node]) -> Iterator[tuple[str, int]]:
    for dependency in dependencies:
        # A mapping is for another installer, as pip.
        if isinstance(dependency, MappingNode):
            continue
        text = _text(dependency) or ""
        try:
            PackageSpec(text)
        except ValueError as error:
            _broken(path, _line(dependency), str(error))
        yield text, _line(dependency)


def _located(path: str, url: Node) -> tuple[str, int]:
    return _dist(path, _line(url), _text(url) or ""), _line(url)


def _require_version(path: str, top: Node, keys: Mapping[str, Node], known: tuple[str, ...]) -> None:
    version = keys.get("version")
    if _text(version) not in known:
        said = "without a version" if version is None else f"of version {_text(version)}"
        _broken(path, _line(version or top), f"it is {said}; understood are {', '.join(known)}")


def _items(path: str, node: Node) -> list[Node]:
    if isinstance(node, SequenceNode):
        return list(node.value)
    # "packages:" with nothing behind it.
    if isinstance(node, ScalarNode) and node.value in ("", "~", "null"):
        return []
    return _broken(path, _line(node), "there should be a list")


def _mapping(node: Node | None) -> dict[str, Node]:
    return {_text(key) or "": value for key, value in node.value} if isinstance(node, MappingNode) else {}


def _text(node: Node | None) -> str | None:
    return str(node.value) if isinstance(node, ScalarNode) else None


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
