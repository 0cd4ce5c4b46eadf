"""Quotas as the kernel tells them, and as the tools of NFS and Lustre do."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from disks import ext4_with_quotas

from conda_prune_plugin.core.units import Unit
from conda_prune_plugin.core.usage.usage_report import Quota, QuotaKind
from conda_prune_plugin.discovery.system import quotas as module
from conda_prune_plugin.discovery.system.mounts import Mount, mount_of, mounts
from conda_prune_plugin.discovery.system.quotas import QuotaError, from_tool, quotas

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="quotas are asked for on Linux only")

#: What the manuals and the sources of the tools (quota-tools 4.06, Lustre's lfs.c) give as their output.
NFS = """Disk quotas for user alice (uid 1000):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
server:/export/home2  12345*  10000   25000 1796033000   98000   90000  100000       0
"""
LUSTRE = "/mnt/lustre\n             [2048]       0    4096       -      17*     10       0  6d23h59m59s\n"


def _mine(unit: Unit, used: int, soft: int | None, hard: int | None) -> Quota:
    return Quota(QuotaKind.USER, str(os.geteuid()), unit, used, soft, hard)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a tool that is the only one there is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "quota"


def _write(tool: Path, script: str) -> None:
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


@pytest.mark.parametrize(
    ("output", "bytes_", "inodes"),
    [
        (NFS, (12345 << 10, 10000 << 10, 25000 << 10), (98000, 90000, 100000)),
        (LUSTRE, (2048 << 10, None, 4096 << 10), (17, 10, None)),
    ],
)
def test_both_tools_tell_blocks_and_files(
    tool: Path, output: str, bytes_: tuple[int, int | None, int], inodes: tuple[int, int, int | None]
) -> None:
    # A limit that is exceeded is told by the exit code too.
    _write(tool, f"while read line; do echo \"$line\"; done <<'END'\n{output}END\nexit 1")

    assert from_tool(("quota",), "/mnt") == (_mine(Unit.BYTES, *bytes_), _mine(Unit.INODES, *inodes))


def test_a_tool_is_given_the_user_and_the_place_as_one_word_each(tool: Path) -> None:
    _write(tool, 'echo "$#" > "$0.words"; for word in "$@"; do echo "$word" >> "$0.words"; done')

    assert from_tool(("quota", "-u", "{user}", "{point}"), "/mnt/of a; name $(id)") == ()
    assert tool.with_suffix(".words").read_text() == f"3\n-u\n{os.geteuid()}\n/mnt/of a; name $(id)\n"


@pytest.mark.parametrize("output", ["", "Disk quotas for user root (uid 0): none", "one 1 2 3", "\x00 \udcff 1 2"])
def test_without_a_limit_in_its_output_there_is_none(tool: Path, output: str) -> None:
    _write(tool, f"echo '{output.encode(errors='replace').decode()}'")

    assert from_tool(("quota",), "/mnt") == ()


def test_a_tool_that_is_not_there_is_no_error(tool: Path) -> None:
    assert from_tool(("quota",), "/mnt") == ()
    for kind in ("nfs", "nfs4", "lustre"):
        assert quotas("/", Mount("/", kind, frozenset(), "server:/x")) == ()


def test_a_tool_that_never_answers_or_cannot_be_run_is_told(tool: Path) -> None:
    _write(tool, "while :; do :; done")
    with pytest.raises(QuotaError, match="`quota` didn't answer in 0 seconds"):
        from_tool(("quota",), "/mnt", patience=0.1)
    tool.write_text("no program")
    with pytest.raises(QuotaError, match="`quota`: "):
        from_tool(("quota",), "/mnt")


def test_only_what_limits_is_told(tool: Path) -> None:
    _write(tool, "echo 'server:/home 5 0 0 0 7 8 0 0'")

    assert quotas("/", Mount("/", "nfs4", frozenset(), "server:/home")) == (_mine(Unit.INODES, 7, 8, None),)


def test_a_file_system_without_quotas_has_none(tmp_path: Path) -> None:
    assert quotas(str(tmp_path), Mount("/", "ext4", frozenset(), "/dev/null")) == ()
    assert quotas(str(tmp_path / "missing"), Mount("/", "ext4", frozenset(), "/dev/null")) == ()
    real = mount_of(str(tmp_path), mounts())
    assert real is not None
    assert real.source


@pytest.mark.debian
def test_the_kernel_s_quotas_are_those_that_were_set(tmp_path: Path) -> None:
    with ext4_with_quotas(tmp_path / "disk") as point:
        (point / "file").write_bytes(b"x" * 10_000)
        (point / "other").touch()
        for name in ("file", "other"):
            os.chown(point / name, 4321, 0)
        _limit(point, 4321, soft=30, hard=40, inode_soft=50, inode_hard=60)
        script = (
            f"import os, sys; sys.path[:] = {sys.path!r}; os.setgroups([]); os.setuid(4321)\n"
            "from conda_prune_plugin.discovery.system.mounts import mount_of, mounts\n"
            "from conda_prune_plugin.discovery.system.quotas import quotas\n"
            f"path = {str(point)!r}\n"
            "for one in quotas(path, mount_of(path, mounts())):\n"
            "    print(one.kind.value, one.owner, one.unit.value, one.used, one.soft, one.hard)\n"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

        used = (point / "file").stat().st_blocks * 512
        assert done.stdout.splitlines() == [
            f"user 4321 bytes {used} {30 << 10} {40 << 10}",
            "user 4321 inodes 2 50 60",
        ], done.stderr


def _limit(point: Path, user: int, *, soft: int, hard: int, inode_soft: int, inode_hard: int) -> None:
    """Set a user's limits, the first two in KiB, by Q_SETQUOTA."""
    limits = 1 | 4  # QIF_BLIMITS | QIF_ILIMITS
    record = module._RECORD.pack(hard, soft, 0, inode_hard, inode_soft, 0, 0, 0, limits)
    libc = ctypes.CDLL(None, use_errno=True)
    device = next(mount.source for mount in mounts() if mount.point == str(point))
    command = ctypes.c_uint(0x800008 << 8)
    if libc.quotactl(command, ctypes.c_char_p(os.fsencode(device)), ctypes.c_uint(user), record):
        raise OSError(ctypes.get_errno(), "Q_SETQUOTA")
