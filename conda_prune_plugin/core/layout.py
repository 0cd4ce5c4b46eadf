"""File names in caches and environments, as conda and other clients write them."""

from __future__ import annotations

import os

#: One url a line, appended by conda at every download (conda.core.package_cache_data.UrlsData).
URLS = "urls.txt"

#: Name, type, size and SHA-256 of every file (conda.models.records.PathDataV1); packages of old have only the names.
PATHS = os.path.join("info", "paths.json")
FILES = os.path.join("info", "files")

#: Written by conda after extraction, with the url and the hashes of the archive; its mtime is the time of extraction
#: (conda.core.package_cache_data.PackageCacheData.insert, conda.core.path_actions.ExtractPackageAction).
RECORD = os.path.join("info", "repodata_record.json")

META = "conda-meta"

#: Name, version and build in JSON; conda takes a directory with this file for a package.
INDEX = os.path.join("info", "index.json")

#: The suffix of rattler's lock file beside an entry.
LOCK_SUFFIX = ".lock"

#: What conda and mamba recognise a cache by (conda.base.constants.PACKAGE_CACHE_MAGIC_FILE).
MAGIC = "urls.txt"

#: The directory for our own state, below a cache or a directory of environments; conda ignores it.
STATE = ".conda-prune"

#: The suffix of trees removed on a full disk, where we have no folder. conda gives it to files that it can't delete,
#: and deletes such files later (``conda.gateways.disk.delete``).
TRASH = ".conda_trash"

#: The file that rattler and pixi lock while working on a cache (rattler_cache, ``PackageCache::acquire_global_lock``).
RATTLER_LOCK = ".cache.lock"

#: conda's own two archive formats (``conda.base.constants.CONDA_PACKAGE_EXTENSIONS``); plugins may add others.
ARCHIVE_SUFFIXES = (".conda", ".tar.bz2")
