"""The table of commands: what their help says, and which options they honour before their name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .option_table import CHOICES


class Command(NamedTuple):
    """A command of ``conda prune``.

    operands: what follows the options on its usage line. output: by the name of its value, the help of each of conda's
    own options for output and prompts that the command heeds. above: the values of options of ``conda prune`` itself
    that the command honours before its name.
    """

    summary: str
    operands: str
    description: str
    epilog: str = ""
    output: Mapping[str, str] | None = None
    above: frozenset[str] = frozenset()


_JSON = {"json": "Print the result as JSON."}
_COMPLETE = {**_JSON, "verbosity": "Show complete lists."}
_SILENT = {"quiet": "Print nothing but warnings and errors."}
_NO_PROGRESS = {"quiet": "Don't show progress."}

_EXAMPLES = """\
examples:
  conda prune --dry-run            show the plan, change nothing
  conda prune --older-than 30d     remove packages unused for 30 days
  conda prune restore last         restore what the last run removed
"""

#: The end of the short help of ``conda prune``.
SHORT_EPILOG = f"""\
{_EXAMPLES}
Run `conda prune --help-all` for all options, or `conda prune help COMMAND` for
a command.
"""

#: The options that the short help of ``conda prune`` lists: the ten most used, and where to find the rest.
COMMON = (
    "--dry-run",
    "--yes",
    "--all",
    "--only",
    "--keep",
    "--older-than",
    "--keep-newest",
    "--max-size",
    "--backup",
    "--search",
    "--help",
    "--help-all",
    "--version",
)

#: ``conda prune`` itself.
PRUNE = Command(
    "Remove cached packages that no environment uses.",
    "[OPTIONS] [COMMAND]",
    """\
Remove cached packages that no environment uses.

Finds your environments and conda's package caches, shows the unused packages
and how much space removing them frees, and asks before it removes anything.
""",
    f"""\
{_EXAMPLES}  conda prune --all                also remove index caches, logs and more
  conda prune --tarballs --yes     remove archives only, don't ask
  conda prune --max-size 10GB      shrink the caches to 10 GB
  conda prune --free-inodes 50000  free 50,000 inodes
  conda prune --keep-newest 1      keep the newest version of each package
  conda prune --lockfile FILE      keep the packages of a lockfile
  conda prune --search ~/projects  keep packages that ~/projects uses
  conda prune --backup             move to a backup instead of deleting
  conda prune --dry-run -v         show why each package is kept
  conda prune --check 5GB          exit with 3 if more than 5 GB can be freed
""",
    {
        **_JSON,
        "verbosity": "Show all packages and why each is kept; -vv also why each one is removed.",
        **_SILENT,
        "dry_run": "Show what would be removed; change nothing.",
        "yes": "Don't ask before removing.",
    },
)

#: The commands by name, in the order of the help.
COMMANDS = {
    "usage": Command(
        "Show disk usage.",
        "[OPTIONS] [NAME]",
        """\
Show disk usage of environments and package caches, and reclaimable space.

Sizes are disk usage, with each file counted once, so the total matches du.
"Own" space is freed by removing the environment. "Shared" space is hard-linked
elsewhere, usually in a package cache.
""",
        """\
examples:
  conda prune usage                environments and caches, largest first
  conda prune usage work           one environment in detail
  conda prune usage --inodes       the same, by number of files
  conda prune usage --summary      a short table with reclaimable space
  conda prune usage --packages     packages, their versions and users
  conda prune usage --html u.html  a report to explore in a browser
  conda prune usage --export ncdu | ncdu -f -
                                   browse all files in ncdu
""",
        {**_COMPLETE, **_NO_PROGRESS, "dry_run": "With --html: don't write the report."},
        CHOICES,
    ),
    "why": Command(
        "Explain why packages are kept or removed.",
        "[OPTIONS] [SPEC ...]",
        """\
Explain why packages in the caches are kept, or why they can be removed.

Shows the environments that use a package and how its files are linked, the
revision, lockfile or rule that keeps it, or how long it has been unused. Takes
the options of `conda prune`, to see what they would keep. Changes nothing.
""",
        """\
examples:
  conda prune why numpy            all numpy packages in the caches
  conda prune why 'numpy>=2' scipy
                                   several packages
  conda prune why --all            all environments, and what each keeps
  conda prune why --find projects  find unknown environments below projects

Exits with 1 if a SPEC matches no package in the caches.
""",
        {**_COMPLETE, **_NO_PROGRESS},
    ),
    "envs": Command(
        "List environments and their last use, or remove some.",
        "[OPTIONS] [NAME ...]",
        """\
List environments and when they were last used, or remove some.

Shows the space of each environment, the times of its creation, last change and
last use, its running processes, references to it (Jupyter kernels, editors,
shell files, cron, systemd, scripts), and marks such as frozen, broken or
duplicate.

--remove exports the environment's packages, to rebuild it from, then deletes
it. With --backup it moves the environment aside instead. `conda prune restore`
undoes both. The base environment is never removed. Environments that are
active, frozen, running, referred to, or hold your work are removed only with
--force, which keeps that work. Up to 3 other files of no package are deleted
for good, and named before the question.
""",
        """\
examples:
  conda prune envs                        all environments, largest first
  conda prune envs -v work                one environment in detail
  conda prune envs --unused-for 90d       environments unused for 90 days
  conda prune envs old test --remove      remove two environments
  conda prune envs old --remove --backup  move one aside until it is purged
  conda prune envs --unused-for 1y --remove --prune --yes
                                          remove and prune, don't ask
  conda prune envs --fix-registry         clean up environments.txt
""",
        {
            **_JSON,
            "verbosity": "Show all evidence of use and complete lists.",
            **_SILENT,
            "dry_run": "With --remove or --fix-registry: change nothing.",
            "yes": "With --remove or --fix-registry: don't ask.",
        },
        CHOICES | {"ignore_unreadable"},
    ),
    "browse": Command(
        "Browse, mark and remove environments and packages.",
        "[OPTIONS]",
        """\
Browse environments, cached packages and leftovers in the terminal, mark some,
and remove them. The bottom line shows what all marks together free.

Nothing is removed before you have seen the plan and answered yes. Environments
and packages in use are protected, and say why. Press ? for the keys. Needs
textual: python -m pip install 'conda-prune[tui]'.
""",
        """\
examples:
  conda prune browse
  conda prune --search ~/projects browse
                                   also keep packages that ~/projects uses
""",
        {"dry_run": "Show plans; change nothing."},
        CHOICES | {"ignore_unreadable", "min_age", "pkgs_dir", "roots", "searches"},
    ),
    "dedupe": Command(
        "Share the storage of identical files, without removing any.",
        "[OPTIONS] [NAME ...]",
        """\
Share the storage of files that are stored more than once: copies in
environments, pip's packages, versions of a package that have files in common.

Works on file systems that can share (XFS, btrfs). The kernel compares both
files before it shares them. Content, permissions, times and links of every file
stay as they are, and a program that writes to one of them changes only that one.
Only files that conda, pip or uv have recorded are looked at.
""",
        """\
examples:
  conda prune dedupe --dry-run     show what is stored more than once
  conda prune dedupe               share it
  conda prune dedupe work test     change files only in two environments
""",
        {**_COMPLETE, **_SILENT, "dry_run": "Show what would be shared; change nothing.", "yes": "Don't ask."},
        frozenset({"searches", "roots", "pkgs_dir"}),
    ),
    "restore": Command(
        "List earlier runs, or undo one.",
        "[OPTIONS] [RUN]",
        """\
List earlier runs, or undo one: restore the packages and environments it
removed.

Backups (--backup) come back as they were. Archives (--backup-to) are unpacked
and verified. Deleted packages are downloaded again and their hash is checked.
Deleted environments are rebuilt by conda and pip from their export. Existing
files are never overwritten.
""",
        """\
examples:
  conda prune restore                        list the runs
  conda prune restore last                   undo the newest listed run
  conda prune restore last --only 'numpy<2'  restore only some packages
  conda prune restore last --dry-run         show what would be restored
""",
        {**_COMPLETE, **_SILENT, "dry_run": "Show what would be restored; change nothing."},
    ),
    "purge": Command(
        "Delete backups for good.",
        "[OPTIONS] [RUN ...]",
        """\
Delete earlier runs for good: backups of packages and environments, exports of
deleted environments, archives, and receipts.

Only this frees the space of a backup. It can't be undone, and
`conda prune restore` can't undo the purged runs any more. `conda prune restore`
lists the runs.
""",
        """\
examples:
  conda prune purge last              delete the backup of the last run
  conda prune purge --older-than 30d  delete backups older than 30 days
  conda prune purge --all --yes       delete all backups, don't ask
""",
        {
            **_JSON,
            **_SILENT,
            "dry_run": "Show what would be deleted; change nothing.",
            "yes": "Don't ask before deleting.",
        },
    ),
    "demo": Command(
        "Try it in a temporary sandbox.",
        "[OPTIONS]",
        """\
Try conda prune in a temporary sandbox with real packages and environments.

Shows what `conda clean` would remove there, prunes it, compares the predicted
with the freed space, and restores everything. Nothing outside the sandbox is
read or changed. The sandbox is deleted at the end.
""",
    ),
    "help": Command("Show the help of a command.", "[COMMAND]", "Show the help of a command."),
}
