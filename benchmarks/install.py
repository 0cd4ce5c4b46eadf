"""Generates a large install in conda's on-disk format: a cache, environments hard-linked to it, a home.

Nothing is fetched and no conda runs: the files are those that conda, and pip, would have left. The same size and seed
always give the same trees. Modification times lie in the past, so that no minimum age hides anything.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: A part of all packages that no environment uses.
UNREFERENCED = 0.4

#: Files of one package: lognormal, as in real channels, where few packages have most of the files.
_FILES_MEDIAN, _FILES_SIGMA, _FILES_LARGEST = 14, 1.55, 4_000

#: Bytes of one file, lognormal too.
_SIZE_MEDIAN, _SIZE_SIGMA, _SIZE_LARGEST = 1_500, 1.6, 500_000

#: Files that name their prefix, which conda copies instead of linking.
_COPIED = 0.05

_PIP_PACKAGES, _PIP_FILES = 4, 40

#: When everything was written, in seconds since the epoch.
_WRITTEN = 1_750_000_000

_SITE_PACKAGES = "lib/python3.12/site-packages"


@dataclass(frozen=True, slots=True)
class Size:
    """How large an install is; `each`: how many packages an environment uses, as far as there are so many names."""

    packages: int
    environments: int
    each: int = 400


SIZES: Mapping[str, Size] = {"S": Size(300, 5), "M": Size(1_500, 30), "L": Size(5_000, 100)}


@dataclass(frozen=True, slots=True)
class Install:
    """The places of an install; `environ` gives what a conda needs to see nothing else."""

    directory: Path

    @property
    def cache(self) -> Path:
        """The package cache."""
        return self.directory / "pkgs"

    @property
    def envs(self) -> Path:
        """The directory of the environments."""
        return self.directory / "envs"

    def environ(self) -> dict[str, str]:
        """Return the environment variables for a command."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory / "home"),
            "CONDA_PKGS_DIRS": str(self.cache),
            "CONDA_ENVS_DIRS": str(self.envs),
            "CONDA_REPORT_ERRORS": "false",
        }

    def trees(self) -> list[str]:
        """Return the cache and all environments."""
        return [str(self.cache), *sorted(str(path) for path in self.envs.iterdir())]


@dataclass(frozen=True, slots=True)
class _Package:
    """One package: its payload with the length of each file, and which of it conda would copy."""

    name: str
    version: str
    files: Mapping[str, int]
    copied: frozenset[str]

    @property
    def dist(self) -> str:
        return f"{self.name}-{self.version}-h0_0"


def generate(directory: Path, size: Size, seed: int = 0) -> Install:
    """Make an install in a directory that does not exist yet. Raises `OSError`."""
    chance = random.Random(seed)  # noqa: S311
    install = Install(directory)
    for path in (install.cache, install.envs, directory / "home"):
        path.mkdir(parents=True)
    (install.cache / "urls.txt").touch()
    packages = [_package(chance, number) for number in range(size.packages)]
    noise = chance.randbytes(_SIZE_LARGEST)
    for package in packages:
        _extract(install.cache, package, noise)
    used: dict[str, list[_Package]] = {}
    for package in chance.sample(packages, round(size.packages * (1 - UNREFERENCED))):
        used.setdefault(package.name, []).append(package)
    for number in range(size.environments):
        names = chance.sample(sorted(used), min(size.each, len(used)))
        _environment(install, f"env{number:03}", [chance.choice(used[name]) for name in names], noise)
    return install


def _package(chance: random.Random, number: int) -> _Package:
    # Two of three names have one version, the third has two.
    name, version = f"package{number * 2 // 3:04}", f"{1 + number % 3}.{number % 7}.0"
    count = min(int(chance.lognormvariate(0, _FILES_SIGMA) * _FILES_MEDIAN), _FILES_LARGEST)
    files = {}
    for index in range(count):
        length = min(int(chance.lognormvariate(0, _SIZE_SIGMA) * _SIZE_MEDIAN), _SIZE_LARGEST)
        match index % 4:
            case 0:
                files[f"lib/{name}/part{index}.so"] = length
            case 1:
                files[f"share/{name}/data/{index // 40}/item{index}.txt"] = length
            case _:
                files[f"{_SITE_PACKAGES}/{name}/sub{index // 60}/module{index}.py"] = length
    return _Package(name, version, files, frozenset(file for file in files if chance.random() < _COPIED))


def _extract(cache: Path, package: _Package, noise: bytes) -> None:
    top = cache / package.dist
    for directory in sorted({os.path.dirname(file) for file in package.files} | {"info"}):
        (top / directory).mkdir(parents=True, exist_ok=True)
    for file, length in package.files.items():
        _write(top / file, noise[:length])
    index = {"name": package.name, "version": package.version, "build": "h0_0", "build_number": 0, "depends": []}
    record = {**index, "fn": f"{package.dist}.conda", "url": f"https://example.org/linux-64/{package.dist}.conda"}
    _write(top / "info" / "index.json", json.dumps(index).encode())
    _write(top / "info" / "files", "\n".join(package.files).encode())
    paths = list(_paths(package, noise))
    _write(top / "info" / "paths.json", json.dumps({"paths": paths, "paths_version": 1}).encode())
    _write(top / "info" / "repodata_record.json", json.dumps(record).encode())
    _write(cache / f"{package.dist}.conda", _archive(noise[: 2_000 + 400 * len(package.files)]))


def _archive(content: bytes) -> bytes:
    """Return what opens as a ``.conda`` package: a zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("pkg.tar.zst", content)
    return stream.getvalue()


def _paths(package: _Package, noise: bytes) -> Iterator[dict[str, object]]:
    for file, length in package.files.items():
        yield {"_path": file, "path_type": "hardlink", "sha256": _hash(noise, length), "size_in_bytes": length}


@cache
def _hash(noise: bytes, length: int) -> str:
    """Return the hash of a file, which has the beginning of the noise in it."""
    return hashlib.sha256(noise[:length]).hexdigest()


def _environment(install: Install, name: str, packages: Sequence[_Package], noise: bytes) -> None:
    prefix = install.envs / name
    meta = prefix / "conda-meta"
    meta.mkdir(parents=True)
    for directory in sorted({os.path.dirname(file) for package in packages for file in package.files}):
        (prefix / directory).mkdir(parents=True, exist_ok=True)
    for package in packages:
        source, target = f"{install.cache}/{package.dist}/", f"{prefix}/"
        for file in package.files:
            if file in package.copied:
                _write(prefix / file, (install.cache / package.dist / file).read_bytes())
            else:
                os.link(source + file, target + file)
        _write(meta / f"{package.dist}.json", json.dumps(_record(install, package, noise)).encode())
    for number in range(_PIP_PACKAGES):
        _pip_install(prefix, f"pip_package_{number}")
    _write(meta / "history", "".join(f"+defaults/linux-64::{package.dist}\n" for package in packages).encode())


def _record(install: Install, package: _Package, noise: bytes) -> dict[str, object]:
    return {
        "name": package.name,
        "version": package.version,
        "build": "h0_0",
        "build_number": 0,
        "channel": "https://example.org",
        "subdir": "linux-64",
        "fn": f"{package.dist}.conda",
        "url": f"https://example.org/linux-64/{package.dist}.conda",
        "depends": [],
        "extracted_package_dir": str(install.cache / package.dist),
        "files": list(package.files),
        "link": {"source": str(install.cache / package.dist), "type": 1},
        "paths_data": {"paths": list(_paths(package, noise)), "paths_version": 1},
    }


def _pip_install(prefix: Path, name: str) -> None:
    """Leave what pip would (PEP 376, PEP 627): the files, and a record of them."""
    site = prefix / _SITE_PACKAGES
    info = f"{name}-1.0.dist-info"
    (site / name).mkdir(parents=True)
    (site / info).mkdir()
    modules = [f"{name}/module{number}.py" for number in range(_PIP_FILES)]
    for module in modules:
        _write(site / module, b"value = 1\n" * 100)
    _write(site / info / "INSTALLER", b"pip\n")
    _write(site / info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode())
    record = [*modules, f"{info}/INSTALLER", f"{info}/METADATA", f"{info}/RECORD"]
    _write(site / info / "RECORD", "".join(f"{file},,\n" for file in record).encode())


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, (_WRITTEN, _WRITTEN))
