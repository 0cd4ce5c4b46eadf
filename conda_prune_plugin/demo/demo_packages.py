"""Building small conda packages and a ``file://`` channel of them.

The metadata is what conda-build writes and conda reads: ``info/index.json``, ``info/paths.json`` (paths_version 1),
``info/files``, and ``info/link.json`` for noarch python. Archives are made by conda-package-handling.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: What conda replaces by the prefix in files that name it (conda-build writes a longer one of the same kind).
PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"


@dataclass(frozen=True, slots=True)
class File:
    """A regular file; one whose content has `PLACEHOLDER` in it is marked for replacement, and so copied."""

    content: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class HardLink:
    """A further name of a file of the same package."""

    target: str


@dataclass(frozen=True, slots=True)
class SymLink:
    """A symbolic link, relative to where it is."""

    target: str


#: What a package may hold at a path.
Item = File | HardLink | SymLink


@dataclass(frozen=True, slots=True)
class Package:
    """What a package is made of; `files` maps a path below the prefix to what is there."""

    name: str
    version: str
    build: str = "0"
    depends: tuple[str, ...] = ()
    files: Mapping[str, Item] = field(default_factory=dict)
    noarch: str | None = None
    subdir: str = "linux-64"
    suffixes: tuple[str, ...] = (".conda",)

    @property
    def dist(self) -> str:
        """Its ``name-version-build``."""
        return f"{self.name}-{self.version}-{self.build}"


def build_channel(directory: Path, packages: Iterable[Package]) -> str:
    """Build all packages into a channel and return its ``file://`` url."""
    index: dict[str, dict[str, Any]] = {"linux-64": {}, "noarch": {}}
    for package in packages:
        for suffix in package.suffixes:
            archive = build_package(package, directory / package.subdir, suffix)
            content = archive.read_bytes()
            index.setdefault(package.subdir, {})[archive.name] = {
                **_index(package),
                "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
                "sha256": hashlib.sha256(content).hexdigest(),
                "size": len(content),
            }
    for subdir, records in index.items():
        repodata = {
            "info": {"subdir": subdir},
            "packages": {name: record for name, record in records.items() if name.endswith(".tar.bz2")},
            "packages.conda": {name: record for name, record in records.items() if name.endswith(".conda")},
            "repodata_version": 1,
        }
        (directory / subdir).mkdir(parents=True, exist_ok=True)
        (directory / subdir / "repodata.json").write_text(json.dumps(repodata))
    return directory.absolute().as_uri()


def build_package(package: Package, directory: Path, suffix: str) -> Path:
    """Build one archive of a package in a directory and return its path."""
    from conda_package_handling import api

    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="conda-prune-build-") as work:
        tree = Path(work, "tree")
        names = write_tree(package, tree)
        # Level 1: these archives live for minutes.
        options = {"compression_tuple": (".tar.zst", "zstd", "zstd:compression-level=1")} if suffix == ".conda" else {}
        archive = api.create(str(tree), names, package.dist + suffix, work, **options)
        shutil.move(archive, directory / f"{package.dist}{suffix}")
    return directory / f"{package.dist}{suffix}"


def write_tree(package: Package, tree: Path) -> list[str]:
    """Write a package as its extracted directory holds it and return the names of its files."""
    for name, item in package.files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(item, File):
            path.write_bytes(item.content)
            path.chmod(0o755 if item.executable else 0o644)
        elif isinstance(item, HardLink):
            path.hardlink_to(tree / item.target)
        else:
            path.symlink_to(item.target)
    info = tree / "info"
    info.mkdir(parents=True)
    payload = sorted(package.files)
    paths = {"paths": [_path(package, tree, name) for name in payload], "paths_version": 1}
    (info / "index.json").write_text(json.dumps(_index(package), indent=2, sort_keys=True))
    (info / "paths.json").write_text(json.dumps(paths, indent=2))
    (info / "files").write_text("".join(f"{name}\n" for name in payload))
    if package.noarch == "python":
        link = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        (info / "link.json").write_text(json.dumps(link))
    return [*payload, *(f"info/{name}" for name in sorted(os.listdir(info)))]


def _index(package: Package) -> dict[str, Any]:
    index: dict[str, Any] = {
        "arch": None if package.noarch else "x86_64",
        "build": package.build,
        "build_number": 0,
        "depends": list(package.depends),
        "license": "BSD-3-Clause",
        "name": package.name,
        "platform": None if package.noarch else "linux",
        "subdir": package.subdir,
        "timestamp": 1_700_000_000_000,
        "version": package.version,
    }
    return {**index, "noarch": package.noarch} if package.noarch else index


def _path(package: Package, tree: Path, name: str) -> dict[str, Any]:
    if isinstance(package.files[name], SymLink):
        # conda-build describes what the link leads to; the target of a dangling one is an empty file to it.
        content = (tree / name).read_bytes() if (tree / name).is_file() else b""
        kind = "softlink"
    else:
        content = (tree / name).read_bytes()
        kind = "hardlink"
    described: dict[str, Any] = {
        "_path": name,
        "path_type": kind,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    if kind == "hardlink" and PLACEHOLDER.encode() in content:
        described |= {"file_mode": "text", "prefix_placeholder": PLACEHOLDER}
    return described
