"""The table of options: names, kind of value, help, and the commands that take each.

The parsers, the options' values (`arguments`), completion and the command that `usage` suggests are all made from it.
A parser is built for ``--help`` and bad usage too, so this module imports nothing but argparse; `values` has the
parsers of values.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any


class Option:
    """An option, or an argument if its name has no dashes. A plain class, because each command of conda makes it.

    usage: names, the kind of value (one of `values.KINDS`), and dots if the option can be repeated. commands: that take
    it. more: further arguments of `argparse.ArgumentParser.add_argument`.
    """

    __slots__ = ("commands", "help", "more", "names")

    def __init__(self, usage: str, commands: str, help: str, **more: Any) -> None:  # noqa: A002
        words = usage.split()
        repeated = words[-1] == "..." and words.pop()
        kind = words.pop() if words[-1].isupper() else None
        self.names, self.commands, self.help = words, commands.split(), help
        if kind is None:
            # An option without a value is a flag unless it has choices.
            self.more = more if "choices" in more else {"action": "store_true", **more}
        elif repeated:
            self.more = {"action": Values, "metavar": kind, "default": [], **more}
        else:
            self.more = {"action": Value, "metavar": kind, **more}

    @property
    def name(self) -> str:
        """The long name."""
        return self.names[-1]

    @property
    def dest(self) -> str:
        """The name of its value: where there is one, the field of the options that it fills."""
        return str(self.more.get("dest", self.name.lstrip("-").replace("-", "_")))


class Value(argparse._StoreAction):  # noqa: SLF001
    """Parses a value by its kind, its metavar, and stores it; and the text beside it, as ``<dest>_text``.

    Unlike argparse's ``type``, it imports the parser when there is something to parse, and keeps the text.
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Store the value. Raises `argparse.ArgumentError`, which names the option."""
        from .values import KINDS

        parse = KINDS[str(self.metavar)]
        value: Any = None
        try:
            if isinstance(values, list):
                value = [parse(text) for text in values]
            elif values is not None:
                value = parse(values)
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from error
        setattr(namespace, self.dest, value)
        setattr(namespace, f"{self.dest}_text", values)


class Values(Value, argparse._AppendAction):  # noqa: SLF001
    """Parses the value of an option that can be repeated, and appends it."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Append the value. Raises `argparse.ArgumentError`, which names the option."""
        before = getattr(namespace, self.dest, [])
        super().__call__(parser, namespace, values, option)
        setattr(namespace, self.dest, [*before, getattr(namespace, self.dest)])


#: All options by the heading in the help, in its order.
OPTIONS: dict[str, tuple[Option, ...]] = {
    "": (
        Option("environment NAME", "usage", "Show only this environment (name or path).", nargs="?"),
        Option("specs SPEC", "why", "A package, such as numpy or 'numpy>=2'.", nargs="*", default=[]),
        Option("environments NAME", "envs", "Only these environments (name or path).", nargs="*", default=[]),
        Option(
            "environments NAME",
            "dedupe",
            "Change files only in these environments (name or path).",
            nargs="*",
            default=[],
        ),
        Option("run RUN", "restore", "The run to undo, or `last`.", nargs="?"),
        Option("runs RUN", "purge", "A run, or `last`.", nargs="*", default=[]),
        Option("topic COMMAND", "help", "The command (default: conda prune itself).", nargs="?"),
        Option(
            "--all", "why", "List environments, lockfiles and rules, each with the space that removing it would free."
        ),
        Option("--find DIR", "why", "Search DIR for unknown environments that hard-link packages in the caches."),
        Option("--only SPEC", "restore", "Restore only packages that match SPEC, such as 'numpy<2'.", dest="only_spec"),
        Option("--all", "purge", "All runs."),
        Option("--older-than AGE", "purge", "Runs that are at least AGE old (12h, 30d, 8w, 6mo)."),
        Option("--keep DIR", "demo", "Create the sandbox in DIR, a new directory, and keep it.", dest="sandbox"),
    ),
    "what to show": (
        Option(
            "--packages",
            "usage",
            "List packages: versions, environments that use them, shared and duplicated space.",
            dest="by_package",
        ),
        Option("--inodes", "usage", "Show inodes, as file quotas count them, and sort by them."),
        Option("--summary", "usage", "Only a short table of used and reclaimable space."),
        Option("--html FILE", "usage", "Write an interactive report for the browser to FILE."),
        Option(
            "--export",
            "usage",
            "Write the list of all files to standard output. FORMAT is ncdu, which gdu reads too.",
            metavar="FORMAT",
            choices=("ncdu",),
        ),
        Option(
            "--other-caches",
            "usage",
            "Measure caches of other tools (conda-build, pip, uv, ...) completely, or not at all. The default is to "
            "stop after a few seconds.",
            action=argparse.BooleanOptionalAction,
        ),
    ),
    "which environments": (
        Option(
            "--unused-for --older-than AGE",
            "envs",
            "Only environments unused for at least AGE (12h, 30d, 8w, 6mo).",
            dest="unused_for",
        ),
    ),
    "removing environments": (
        Option("--remove", "envs", "Remove the named environments, or those that --unused-for finds."),
        Option(
            "--force",
            "envs",
            "Also remove environments that are active, frozen, running, referred to, or hold your work: a git "
            "repository, files older than the environment, or more than 3 files of no package. `conda prune restore` "
            "restores that work. With --fix-registry: also remove lines for missing disks. Never the base environment.",
        ),
        Option("--prune", "envs", "Prune the caches afterwards. (Asks by default; with --yes the default is no.)"),
        Option(
            "--fix-registry",
            "envs",
            "Remove lines of missing environments from environments.txt, keeping a copy, and move remains of "
            "interrupted creations aside.",
        ),
    ),
    "what to remove (default: unused packages and leftovers)": (
        Option("-p --packages", "prune", "Extracted directories of unused packages."),
        Option("-t --tarballs", "prune", "Archives of unused packages."),
        Option(
            "--all-tarballs", "prune", "Archives of all packages whose extracted directory is complete, in use or not."
        ),
        Option(
            "--leftovers",
            "prune",
            "Remains of failed installs and removals: partial downloads, incomplete and corrupt packages, trash, "
            "stale locks, temporary files. Also checks packages in use and all environments.",
        ),
        Option("-i --index-cache", "prune", "Cached channel indexes."),
        Option(
            "-c --tempfiles PREFIX",
            "prune",
            "Temporary files, trash and stale locks in environments and index caches, or only in environments PREFIX.",
            nargs="*",
        ),
        Option("-l --logfiles", "prune", "Log files in the caches."),
        Option(
            "-a --all", "prune", "Unused packages, all archives, leftovers, index caches, temporary files and logs."
        ),
        Option("--verify", "prune", "Compare every file and archive with its hash, to find corrupt packages."),
        Option(
            "--repair",
            "prune",
            "Repair damaged packages in use: extract their cached archives again. Checks names and sizes of files, "
            "and with --verify contents. Removes nothing by itself.",
        ),
    ),
    "which unused packages": (
        Option("--only SPEC ...", "prune why", "Only packages that match SPEC (repeatable)."),
        Option(
            "--older-than AGE",
            "prune why",
            "Only packages unused for at least AGE (12h, 30d, 8w, 6mo; setting: prune_older_than).",
        ),
        Option(
            "--min-age AGE",
            "prune usage why envs",
            "Keep packages downloaded or extracted less than AGE ago, because an install may still need them "
            "(default: 10m; 0: remove them too).",
        ),
        Option(
            "--keep-newest N", "prune why", "Keep the N newest versions of each package (setting: prune_keep_newest)."
        ),
        Option(
            "--max-size SIZE",
            "prune why",
            "Remove the least recently used packages until the caches hold at most SIZE (500MB, 2.5GiB).",
        ),
        Option("--free SIZE", "prune why", "Remove the least recently used packages until SIZE is freed."),
        Option(
            "--max-inodes N",
            "prune why",
            "Like --max-size, but counts inodes: every file, directory and link, as file quotas do.",
        ),
        Option("--free-inodes N", "prune why", "Like --free, but counts inodes."),
        Option(
            "--unlinked",
            "prune why",
            "Also packages in use that no environment links to: environments have their own copies.",
        ),
        Option(
            "--include-irreplaceable",
            "prune why",
            "Also packages that can't be downloaded again: no URL, a missing file:// source, or built locally.",
        ),
        Option(
            "--check-remote",
            "prune why",
            "Ask the channels which packages they still have, and keep the others as irreplaceable.",
        ),
    ),
    "backups": (
        Option(
            "--backup",
            "prune envs",
            "Move to a backup instead of deleting. `conda prune restore` brings everything back as it was. "
            "`conda prune purge` frees the space.",
            default=None,
        ),
        Option(
            "--no-backup",
            "prune envs",
            "Delete, even if the setting prune_backup is on.",
            dest="backup",
            action="store_false",
        ),
        Option(
            "--backup-to DIR",
            "prune",
            "Write compressed archives of the packages to DIR, verify them, then delete the packages.",
        ),
    ),
    "where to look": (
        Option(
            "--pkgs-dir DIR ...",
            "prune usage why envs dedupe restore purge",
            "Use this package cache instead of the configured ones (repeatable).",
        ),
        Option(
            "--root PREFIX ...",
            "prune usage why envs",
            "Also keep packages of this environment (repeatable; setting: prune_roots).",
            dest="roots",
        ),
        Option(
            "--search DIR ...",
            "prune usage why envs",
            "Also keep packages of environments below DIR (repeatable). Required to prune the caches of pixi and "
            "rattler.",
            dest="searches",
        ),
        Option("--root PREFIX ...", "dedupe", "Also look at this environment (repeatable).", dest="roots"),
        Option("--search DIR ...", "dedupe", "Also look at environments below DIR (repeatable).", dest="searches"),
        Option(
            "--ignore-unreadable",
            "prune",
            "Continue even if an environment can't be read. Packages that only it soft-links may be removed.",
        ),
        Option(
            "--lockfile FILE ...",
            "prune why",
            "Keep packages that FILE lists: an @EXPLICIT file, conda-lock.yml, pixi.lock, conda.lock or "
            "environment.yml (repeatable).",
            dest="lockfiles",
        ),
        Option(
            "--keep-revisions N",
            "prune why",
            "Keep packages of the last N revisions of each environment, for `conda install --revision` "
            "(setting: prune_keep_revisions).",
        ),
        Option(
            "--keep SPEC ...",
            "prune why",
            "Keep packages that match SPEC, such as numpy or 'numpy>=2' (repeatable; adds to the setting prune_keep).",
        ),
    ),
    "other programs": (
        Option(
            "--lock-timeout TIME",
            "prune envs restore purge",
            "Wait at most TIME for another program that uses the cache (30s, 5m; default: 5m).",
        ),
        Option(
            "--ignore-running",
            "prune envs",
            "With --yes: continue even if another conda, mamba or pixi is installing packages.",
        ),
    ),
    "continuous integration": (
        Option(
            "--ci",
            "prune",
            "Prune without asking, whatever the age. image: make the smallest image layer. cache: keep only what is "
            "worth saving between runs.",
            choices=("image", "cache"),
            dest="preset",
        ),
        Option(
            "--check LIMIT",
            "prune",
            "Change nothing; exit with 3 if more than LIMIT can be freed (500MB, 2.5GiB, 20000files).",
        ),
    ),
    "output of the plan": (
        Option(
            "--sort",
            "prune",
            "Order of the packages to remove: largest (default), most inodes, longest unused, or alphabetical.",
            choices=("size", "inodes", "age", "name"),
            default="size",
        ),
    ),
}

#: The options that choose packages, by the names of their values. Commands that plan a prune honour them also before
#: their own name.
CHOICES = frozenset(
    option.dest
    for heading in ("which unused packages", "where to look")
    for option in OPTIONS[heading]
    if option.commands == ["prune", "why"]
)


def options_of(command: str) -> Iterator[tuple[str, Option]]:
    """Yield the heading and the row of each option that a command takes."""
    for heading, options in OPTIONS.items():
        for option in options:
            if command in option.commands:
                yield heading, option


def add_options(parser: argparse.ArgumentParser, command: str) -> None:
    """Add a command's options to its parser."""
    groups: dict[str, Any] = {"": parser}
    for heading, option in options_of(command):
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        groups[heading].add_argument(*option.names, help=option.help, **option.more)
