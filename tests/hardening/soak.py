"""Random sequences of conda's commands and ours on a machine of real packages, each step judged by the oracle.

A round is a sequence from one seed: the same seed does the same on the same machine. Some commands of ours are killed
at a random call that changes the disk, or have such a call failed, once or from then on; the next one clears up.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crash import End, run_decided

from .oracle import Oracle, Sight, difference
from .seeds import ViolationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from machine import Answer, Machine

SPECS = (
    "libbeta",
    "onlyarchive",
    *(
        f"{name}={version}"
        for name in ("libalpha", "pynoarch", "metaonly", "allprefix", "innerlinks", "symlinks", "bothformats")
        for version in ("1.0", "2.0")
    ),
)
LINKS: tuple[dict[str, str], ...] = ({}, {"CONDA_ALWAYS_SOFTLINK": "true"}, {"CONDA_ALWAYS_COPY": "true"})
#: Not EINTR, which is tried again until it does not come.
ERRORS = ("EIO", "ENOSPC", "EACCES", "EROFS", "EDQUOT", "EMFILE", "ENOMEM")

#: What a prune takes or leaves, one or two of them at a time.
CHOICES: tuple[tuple[str, ...], ...] = (
    ("--packages",),
    ("--tarballs",),
    ("--all-tarballs",),
    ("--leftovers", "--packages"),
    ("--all",),
    ("--unlinked",),
    ("--verify",),
    ("--repair",),
    ("--only", "libalpha"),
    ("--keep", "innerlinks"),
    ("--keep-newest", "1"),
    ("--keep-revisions", "1"),
    ("--max-size", "200KB"),
    ("--free", "50KB"),
    ("--include-irreplaceable",),
)

#: A disturbed command is meant to end so: by the kill, or with one of the exit codes that reference.md has.
ENDS = {0, 1, 2, -9}


@dataclass
class Round:
    """One round; `figures` counts what was done in all of them."""

    machine: Machine
    oracle: Oracle
    seed: int
    figures: Counter[str]
    steps: list[str] = field(default_factory=list)
    #: What each run with a backup took out, exactly as it was; environments by their paths.
    _backups: dict[str, dict[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311
        self._sight = self.oracle.look()
        self._made = 0
        self._disturbed = False

    def play(self, number: int) -> None:
        """Do so many steps, and at the end prune without a disturbance, and purge."""
        if not self._sight.environments or not self._sight.entries:
            self._fail(["the oracle sees nothing"])
        actions: tuple[tuple[int, Callable[[], None]], ...] = (
            (4, self._create),
            (2, self._install),
            (2, self._take_away),
            (2, self._delete_by_hand),
            (12, self._prune),
            (5, self._restore),
            (2, self._purge),
            (4, self._remove_environment),
            (1, self._fix_registry),
        )
        weights, doing = zip(*actions, strict=True)
        # As long as one is registered and missing, what it might soft-link stops each removal.
        self._fix_registry()
        for _ in range(number):
            self._random.choices(doing, weights)[0]()
        self._settle()
        self.figures["rounds"] += 1

    # conda's own commands

    def _create(self) -> None:
        self._made += 1
        specs = self._random.sample(SPECS, self._random.randint(1, 4))
        self._conda("create", "-n", f"made{self._made}", *specs, environ=self._random.choice(LINKS))

    def _install(self) -> None:
        if prefix := self._any_environment():
            self._conda("install", "-p", prefix, self._random.choice(SPECS), environ=self._random.choice(LINKS))

    def _take_away(self) -> None:
        if prefix := self._any_environment(named=True):
            how = ("--all",) if self._random.random() < 0.5 else (self._random.choice(SPECS).partition("=")[0],)
            self._conda("remove", "-p", prefix, *how, solve=False)

    def _delete_by_hand(self) -> None:
        if prefix := self._any_environment(named=True):
            self._note("rm -rf", prefix)
            shutil.rmtree(prefix)
            registry = self.machine.registry
            if registry.exists() and self._random.random() < 0.8:
                lines = registry.read_text().splitlines()
                registry.write_text("".join(f"{line}\n" for line in lines if line != prefix))
            self._sight = self.oracle.look()

    def _conda(self, verb: str, *arguments: str, environ: dict[str, str] | None = None, solve: bool = True) -> None:
        environ = environ or {}
        self._note(verb, *arguments, *environ)
        channel = ("--override-channels", "-c", self.machine.channel) if solve else ()
        answer = self.machine.run(verb, *arguments, "--yes", *channel, **environ)
        self.figures["conda commands"] += 1
        known = ("UnsatisfiableError", "ResolvePackageNotFound", "PackagesNotFoundError", "LinkError", "Clobber")
        if answer.code and not any(name in answer.out + answer.err for name in known):
            self._fail([f"conda {verb} failed: {(answer.out + answer.err)[-1500:]}"])
        self._sight = self.oracle.look()

    # Ours

    def _prune(self) -> None:
        chosen = [option for options in self._random.sample(CHOICES, self._random.randint(0, 2)) for option in options]
        disposal = self._random.choice(
            ((), (), ("--backup",), ("--backup-to", str(self.machine.directory / "archives")))
        )
        command = ("prune", "--min-age", "0", *chosen)
        planned = self.machine.run(*command, "--dry-run", "--json")
        self._unchanged_by("a dry run")
        self._ours(
            (*command, *disposal),
            archives=bool({"--all-tarballs", "--all", "--repair", "--verify"} & {*chosen}),
            unlinked="--unlinked" in chosen,
            planned=planned.json if planned.code == 0 and not disposal else None,
        )

    def _restore(self) -> None:
        runs = [run["run"] for run in self.machine.run("prune", "restore", "--json").json["runs"]]
        if runs:
            run = self._random.choice(("last", *runs))
            self._ours(("prune", "restore", run), restoring=runs[0] if run == "last" else run)

    def _purge(self) -> None:
        self._ours(("prune", "purge", "--all"))

    def _remove_environment(self) -> None:
        if prefix := self._any_environment():
            disposal = self._random.choice(((), (), ("--backup",), ("--prune",)))
            self._ours(("prune", "envs", prefix, "--remove", "--force", *disposal), given_up=(prefix,))

    def _fix_registry(self) -> None:
        self._ours(("prune", "envs", "--fix-registry", "--force"))

    def _ours(
        self,
        command: tuple[str, ...],
        *,
        given_up: Iterable[str] = (),
        archives: bool = False,
        unlinked: bool = False,
        planned: Any = None,
        restoring: str | None = None,
    ) -> None:
        """Carry a command out, disturbed or not, and have the oracle judge it."""
        before = self._sight
        kind = self._random.choices(("none", "kill", "fault", "faults"), (5, 3, 2, 1))[0]
        verb = next((name for name in command[1:2] if name in {"restore", "purge", "envs"}), "prune")
        words = command if restoring else (*command, "--yes")
        self.figures[f"{verb}s" if verb != "envs" else "environments removed or registries mended"] += 1
        if kind == "none":
            end: End | Answer = self.machine.run(*words, "--json")
            self._note(*words, f"-> {end.code}")
        else:
            end = self._disturb(kind, words)
        self._sight = after = self.oracle.look()
        wrong = self.oracle.judge(
            before,
            after,
            given_up=tuple(given_up),
            archives=archives,
            unlinked=unlinked,
            conda_too=restoring is not None and kind != "none",
        )
        text = end.output if isinstance(end, End) else end.out + end.err
        if "Traceback" in text:
            wrong.append(f"a traceback: {text[-3000:]}")
        if kind == "none" and not isinstance(end, End):
            wrong += self._judge_end(before, after, end, verb, planned)
        if wrong:
            self._fail(wrong)

    def _disturb(self, kind: str, words: tuple[str, ...]) -> End:
        """Kill a command at a random call, or fail it there, once or from then on."""
        # Evenly over the orders of magnitude: short commands are disturbed as often as long ones.
        first, error, seen = int(2 ** self._random.uniform(0, 8)), self._random.choice(ERRORS), 0

        def decide(call: str) -> str:
            nonlocal seen
            seen += 1
            if kind == "kill":
                return "signal=KILL" if seen == first else ""
            hit = seen == first if kind == "fault" else seen >= first
            self.figures["faults injected"] += hit
            return f"error={error}" if hit else ""

        end = run_decided(self.machine, words, decide)
        self._note(*words, f"-> {end.code}; {kind} {error if kind != 'kill' else ''} at change {first} of {seen}")
        self.figures["kills"] += end.code == -9
        self._disturbed |= seen >= first
        if end.code not in ENDS:
            self._fail([f"exit code {end.code}: {end.output[-2000:]}"])
        return end

    def _judge_end(self, before: Sight, after: Sight, end: Answer, verb: str, planned: Any) -> list[str]:
        """Judge a command that nothing disturbed: its document, its bytes, what it has left behind."""
        wrong = []
        if end.code not in (0, 1):
            wrong.append(f"exit code {end.code}: {end.err}")
        document = end.json
        if "outcomes" not in document:
            return [*wrong, *([] if document.get("exception_name") in KNOWN else [f"refused: {end.out}"])]
        outcomes = document["outcomes"]
        wrong += [f"failed: {item}" for item in outcomes if item["result"] == "failed" and verb != "restore"]
        if verb == "prune" and document.get("disposal") == "delete" and not self._disturbed:
            wrong += self._judge_bytes(before, after, outcomes, planned)
        if verb == "prune" and document.get("disposal") in ("backup", "archive"):
            self._remember(before, document)
        if verb == "restore":
            wrong += self._judge_restored(before, after, document)
        if end.code == 0 and verb in {"prune", "purge"}:
            wrong += self.oracle.unfinished(self.machine.cache)
            self._disturbed = False
        return wrong

    def _judge_bytes(self, before: Sight, after: Sight, outcomes: Any, planned: Any) -> list[str]:
        """What was planned, what is said to be freed, and what the oracle counts are the same bytes and inodes."""
        self.figures["plans whose bytes were compared"] += 1
        freed = [sum(item[name] for item in outcomes) for name in ("freed", "freed_inodes")]
        counted = [before.allocated - after.allocated, before.inodes - after.inodes]
        expected = [planned["totals"][name] for name in ("reclaimable", "reclaimable_inodes")] if planned else freed
        return [] if expected == freed == counted else [f"space: planned {expected}, told {freed}, counted {counted}"]

    def _remember(self, before: Sight, document: Any) -> None:
        gone = {item["dist"] for item in document["outcomes"] if item["result"] in ("backed-up", "archived")}
        kept = {
            name: what
            for name, what in before.exact.items()
            if name.removesuffix(".conda").removesuffix(".tar.bz2") in gone
        }
        self._backups.setdefault(document["run"], {}).update(kept)

    def _judge_restored(self, before: Sight, after: Sight, document: Any) -> list[str]:
        """What a backup gives back is what it took; what was there before is left as it was."""
        wrong = [
            f"a restore changed {name}"
            for name, what in before.exact.items()
            if after.exact.get(name) != what and self.oracle.whole(name, before.entries.get(name, {}))
        ]
        for run in document["runs"]:
            known = self._backups.get(run["run"], {})
            for outcome in document["outcomes"]:
                if outcome["result"] != "restored":
                    continue
                for name, what in known.items():
                    mine = name.removesuffix(".conda").removesuffix(".tar.bz2") == outcome["dist"]
                    if mine and name not in before.exact:
                        self.figures["packages that came back, compared"] += 1
                        if after.exact.get(name) != what:
                            wrong.append(f"{name} came back otherwise: {_differ(what, after.exact.get(name))}")
        return wrong

    def _settle(self) -> None:
        """Have what was left finished: nothing half-done may remain, and conda can still make an environment."""
        self._note("settle")
        for command in (
            ("envs", "--fix-registry", "--force", "--yes"),
            ("--min-age", "0", "--yes"),
            ("purge", "--all", "--yes"),
        ):
            before = self._sight
            answer = self.machine.run("prune", *command, "--json")
            self._sight = self.oracle.look()
            wrong = self.oracle.judge(before, self._sight)
            if answer.code and command[0] != "envs":
                wrong.append(f"{command} ends with {answer.code}: {answer.out[-2500:]}")
            if wrong:
                self._fail(wrong)
        if left := self.oracle.unfinished():
            self._fail(left)
        self._conda("create", "-n", "last", "libbeta", "pynoarch=2.0")

    def _unchanged_by(self, what: str) -> None:
        sight = self.oracle.look()
        if sight != self._sight:
            self._fail([f"{what} changed something"])

    def _any_environment(self, *, named: bool = False) -> str | None:
        """Return an environment; a `named` one lies where others do, so that what is beside it is found without it."""
        found = [prefix for prefix in self._sight.environments if not named or str(self.machine.envs) in prefix]
        return self._random.choice(sorted(found)) if found else None

    def _note(self, *words: str) -> None:
        self.steps.append(" ".join(words))

    def _fail(self, wrong: list[str]) -> None:
        self.figures["violations"] += 1
        told = "\n  ".join(("", *self.steps))
        raise ViolationError(f"--soak-seed {self.seed}:\n" + "\n".join(wrong) + f"\nafter these steps:{told}")


#: Errors by which a command may refuse.
KNOWN = {"UnreadableEnvironmentError", "NoSuchRunError", "DryRunExit"}


def _differ(old: object, new: object) -> str:
    return difference(old, new) if isinstance(old, dict) and isinstance(new, dict) else f"{old} became {new}"
