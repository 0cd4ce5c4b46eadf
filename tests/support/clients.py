"""Caches and environments of mamba, rattler and pixi.

rattler's are made by rattler itself (py-rattler). PyPI has no mamba: its caches and environments are written here byte
by byte as its own source does, which each function names (mamba 2.6, ``libmamba/src/core``).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import rattler
from conda_package_handling import api

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def rattler_install(channel: Path, cache: Path, prefix: Path, *specs: str, origin: bool = False) -> None:
    """Install by rattler, through a cache of its own; `origin` puts the hash of their origin behind entries' names."""

    async def install() -> None:
        records = await rattler.solve([channel.as_uri()], specs, platforms=["linux-64", "noarch"])
        packages = rattler.PackageCache(cache)
        if origin:
            packages = packages.with_cached_origin()
        await rattler.install(records, prefix, package_cache=packages, show_progress=False)

    asyncio.run(install())


class Mamba:
    """A root prefix of mamba or micromamba, with packages from a local channel that bear urls of a remote one."""

    def __init__(self, root: Path, channel: Path, url: str = "https://conda.anaconda.org/conda-forge") -> None:
        self.root = root
        self.pkgs = root / "pkgs"
        self._channel = channel
        self._url = url
        self.pkgs.mkdir(parents=True)
        # ``PackageCacheData::create_directory`` in package_cache.cpp.
        (self.pkgs / "urls.txt").touch()

    @property
    def nested(self) -> Path:
        """Where packages of linux-64 are from 2.6 on: ``package_cache_folder_relative_path`` in package_cache.cpp."""
        return self.pkgs / self._url.replace("://", "/").replace(":", "_") / "linux-64"

    def fetch(self, dist: str, suffix: str = ".conda", *, flat: bool = False) -> Path:
        """Fetch and extract a package as ``PackageFetcher`` does (package_fetcher.cpp); return its directory."""
        folder = self.pkgs if flat else self.nested
        folder.mkdir(parents=True, exist_ok=True)
        archive = folder / f"{dist}{suffix}"
        content = (self._channel / "linux-64" / archive.name).read_bytes()
        archive.write_bytes(content)
        tree = folder / dist
        api.extract(str(archive), str(tree))
        index = json.loads((tree / "info" / "index.json").read_text())
        url = f"{self._url}/linux-64/{archive.name}"
        record = {
            **index,
            "build_string": index["build"],
            "channel": self._url,
            "constrains": [],
            "fn": archive.name,
            "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "url": url,
        }
        (tree / "info" / "repodata_record.json").write_text(json.dumps(record, indent=4, sort_keys=True))
        with (folder / "urls.txt").open("a") as urls:
            urls.write(f"{url}\n")
        return tree

    def create(self, name: str, *trees: Path, soft: bool = False, registry: Path | None = None) -> Path:
        """Link packages into an environment as ``LinkPackage::execute`` does (link.cpp)."""
        prefix = self.root / "envs" / name
        meta = prefix / "conda-meta"
        meta.mkdir(parents=True)
        (meta / "history").write_text("==> 2026-08-01 10:00:00 <==\n# cmd: micromamba create\n")
        for tree in trees:
            (meta / f"{tree.name}.json").write_text(json.dumps(_link(tree, prefix, soft=soft), indent=4))
        if registry is not None:
            # ``EnvironmentsManager::register_env`` in environments_manager.cpp.
            registry.parent.mkdir(exist_ok=True)
            with registry.open("a") as lines:
                lines.write(f"{prefix}\n")
        return prefix


def _link(tree: Path, prefix: Path, *, soft: bool) -> Mapping[str, Any]:
    paths = json.loads((tree / "info" / "paths.json").read_text())
    files = [item["_path"] for item in paths["paths"]]
    for name in files:
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        if soft:
            (prefix / name).symlink_to(tree / name)
        else:
            os.link(tree / name, prefix / name, follow_symlinks=False)
    return {
        **json.loads((tree / "info" / "repodata_record.json").read_text()),
        "extracted_package_dir": str(tree),
        "files": files,
        # Whatever was done, and whatever the archive was.
        "link": {"source": str(tree), "type": 1},
        "package_tarball_full_path": f"{tree}.tar.bz2",
        "paths_data": paths,
        "requested_spec": "",
    }
