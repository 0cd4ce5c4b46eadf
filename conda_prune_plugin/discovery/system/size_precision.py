"""How precise reclaimable sizes are, which depends on the file system."""

from __future__ import annotations

from collections.abc import Iterable

from ...core.file_status import CLUSTER, KNOWS_BLOCKS
from ...core.model import Cache
from ...core.notices import ESTIMATED, LAYERED, Notice
from .mounts import mount_of, mounts

#: File systems that show several layers as one and change only the uppermost: what lies below is hidden, not removed.
_LAYERED = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs", "fuse.unionfs"})


def precision_notices(caches: Iterable[Cache]) -> tuple[Notice, ...]:
    """Return what there is to say of the bytes of caches; nothing where they are counted block by block."""
    mounted = mounts()
    notices = [_estimated()] if not KNOWS_BLOCKS else []
    for cache in caches:
        mount = mount_of(cache.real_path, mounted)
        if cache.writable and mount is not None and mount.type in _LAYERED:
            notices.append(_layered(cache, mount.type))
    return tuple(notices)


def _estimated() -> Notice:
    message = (
        "This system doesn't report the disk space of a file: all sizes are file lengths, "
        f"each rounded up to {CLUSTER // 1024} KiB."
    )
    return Notice(ESTIMATED, message, "")


def _layered(cache: Cache, kind: str) -> Notice:
    message = (
        f"{cache.path} is on a layered file system ({kind}), as in a container. Removing files of a lower layer, such "
        "as an image, frees nothing, so all sizes are upper bounds, and its directories may be skipped."
    )
    return Notice(LAYERED, message, cache.path)
