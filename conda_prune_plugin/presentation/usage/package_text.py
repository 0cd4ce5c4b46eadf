"""Disk usage of packages and single environments, as text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from ...core.units import Space, format_size, format_space, plural
from ...core.usage.package_usage import PackageUsage, VersionUsage, Zoom
from ...core.usage.usage_report import EnvironmentUsage
from ..terminal.console import listed, print_line, print_rest
from ..terminal.tables import Row, show_table
from .usage_text import bar, glyphs

#: So many lines say where the disk goes; --verbose shows the others.
_LINES = 25

#: The name of conda's own environment, which can't be removed.
_BASE = "base"

#: So many environments are named one by one.
_NAMED = 6


def show_packages(
    out: Console, packages: Sequence[PackageUsage], names: Mapping[str, str], *, whole: bool, inodes: bool = False
) -> None:
    """Print the packages in their order, and which environments have which version; `names` are those of these."""
    shown = packages if whole else packages[:_LINES]
    rows = [
        Row(
            f"  {item.name}",
            (
                f"{len(item.versions):,}",
                f"{item.environments:,}",
                format_size(item.allocated),
                format_size(item.shared),
                format_size(item.duplicated),
                *((f"{item.inodes:,}", f"{item.duplicated_inodes:,}") if whole or inodes else ()),
            ),
            tuple(_version(item.name, version, names) for version in item.versions),
        )
        for item in shown
    ]
    if rows:
        counts = ("inodes", "duplicated inodes") if whole or inodes else ()
        headings = ("versions", "environments", "on disk", "shared", "duplicated", *counts)
        show_table(out, "  package", headings, rows, drop=("shared", "environments", "versions"))
        print_line(out, "  duplicated: other versions of the same package, all but the largest", style="dim")
    print_rest(out, len(packages) - len(shown))
    space = Space(sum(item.duplicated for item in packages), sum(item.duplicated_inodes for item in packages))
    duplicated = format_space(space, inodes=whole or inodes)
    out.print(f"{plural(len(packages), 'package')}. Other versions of the same packages take {duplicated}.")


def _version(name: str, version: VersionUsage, names: Mapping[str, str]) -> str:
    known = [names.get(path, path) for path in version.environments]
    where = f"in {listed(known, _NAMED)}" if known else "in no environment"
    cached = "" if version.cached else ", not in a cache"
    return f"      {version.dist.removeprefix(name + '-')}: {format_size(version.allocated)}, {where}{cached}"


def show_zoom(
    out: Console,
    item: EnvironmentUsage,
    zoom: Zoom,
    *,
    whole: bool,
    inodes: bool = False,
    recent: bool = False,
    own_files: int = 0,
) -> None:
    """Print one environment: what it takes, what only it keeps, its largest packages, and what is not conda's.

    recent: some of what only it keeps is too recent for a prune. own_files: how many files of the user protect it.
    """
    account = item.account
    print_line(out, f"{item.root.name or ''} {item.root.path}".strip(), style="bold")
    marks = glyphs(out)
    line = f"  own {format_size(account.own)} {marks[0]}  shared {format_size(account.shared)} {marks[1]}  "
    drawn = bar(account.own, account.shared, account.allocated, min(out.width - len(line), 40), marks)
    out.print(Text.assemble(line, *drawn))
    counted = whole or inodes
    freed = format_space(Space(account.own, account.own_inodes), inodes=counted)
    print_line(out, f"  Removing it frees {freed}.")
    if zoom.kept:
        kept = format_space(Space(zoom.kept, zoom.kept_inodes), inodes=counted)
        more = f"{kept} more: the packages that only it uses, with their archives"
        prune = "conda prune --min-age 0" if recent else "conda prune"
        print_line(out, f"  `{prune}` then frees {more}.")
    out.print()
    shown = zoom.packages if whole else zoom.packages[:_LINES]
    rows = [
        Row(
            f"  {share.dist}",
            (
                f"{share.files:,}",
                format_size(share.allocated),
                format_size(share.own),
                *((f"{share.inodes:,}", f"{share.own_inodes:,}") if counted else ()),
                plural(share.others, "other") if share.others else "only here",
            ),
        )
        for share in shown
    ]
    if rows:
        counts = ("inodes", "own inodes") if counted else ()
        headings = ("files", "on disk", "own", *counts, "used by")
        show_table(out, "  package", headings, rows, drop=("files", "own", "own inodes"))
    print_rest(out, len(zoom.packages) - len(shown))
    out.print()
    if item.pip.names:
        print_line(out, f"  Installed by pip, {format_size(item.pip.allocated)}: {', '.join(item.pip.names)}")
    if zoom.other_files:
        files = plural(zoom.other_files, "file")
        out.print(f"  Not installed by conda or pip: {files}, {format_size(zoom.other)}. The largest:")
        for name, size in zoom.strangers:
            print_line(out, f"    {format_size(size):>10}  {name}")
    out.print(f"  conda's records: {format_size(zoom.records)}. Directories: {format_size(zoom.directories)}.")
    if item.root.name != _BASE:
        out.print()
        keeping = f", keeping your {plural(own_files, 'file')} for `conda prune restore`" if own_files else ""
        command = f"conda prune envs {shlex.quote(item.root.name or item.root.path)} --remove"
        print_line(out, f"To remove it{keeping}: {command}{' --force' if own_files else ''}")
