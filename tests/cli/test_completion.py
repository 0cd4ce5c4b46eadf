"""Completion of the command line: what argcomplete prints for the shell, asked as the shell asks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from machine import Machine, listing
from tiny import tiny_on

pytest.importorskip("argcomplete")

TOP = Path(__file__).parents[2]

#: The stand-alone command, which the tests' environment needn't have on the path.
PRUNE = "import sys; from conda_prune_plugin.embedded import prune; sys.exit(prune())"

#: conda itself, as the shell would start it to complete its own line.
CONDA = "import sys; from conda_prune_plugin.embedded import main; sys.exit(main())"


def _answer(machine: Machine, line: str, code: str = PRUNE, **environ: str) -> tuple[int, list[str]]:
    """Return the exit code, and what is suggested at the end of a line."""
    suggested = machine.directory / "suggested"
    suggested.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=machine.environ(
            _ARGCOMPLETE="1",
            COMP_LINE=line,
            COMP_POINT=str(len(line.encode())),
            COMP_TYPE="9",
            _ARGCOMPLETE_SUPPRESS_SPACE="1",
            _ARGCOMPLETE_STDOUT_FILENAME=str(suggested),
            **environ,
        ),
        cwd=machine.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("", "")
    words = suggested.read_text().split("\013") if suggested.exists() else []
    return done.returncode, [word.strip() for word in words if word.strip()]


def _suggested(machine: Machine, line: str) -> set[str]:
    code, words = _answer(machine, line)
    assert code == 0
    return set(words)


@pytest.fixture
def filled(empty: Machine) -> Machine:
    """A machine with two environments, one of them elsewhere, and a run that can be restored."""
    tiny = tiny_on(empty)
    tiny.add("used-1-0")
    tiny.add("unused-1-0", archive=True)
    tiny.use("work", "used-1-0")
    (empty.elsewhere / "conda-meta").mkdir(parents=True)
    (empty.elsewhere / "conda-meta" / "history").touch()
    empty.registry.parent.mkdir(parents=True, exist_ok=True)
    empty.registry.write_text(f"{empty.elsewhere}\n{empty.envs / 'work'}\n")
    assert empty.prune("--yes", "--backup").code == 0
    return empty


@pytest.mark.parametrize("program", ["conda-prune", "/opt/bin/conda-prune", "conda prune"])
def test_commands_and_options_are_completed(empty: Machine, program: str) -> None:
    assert _suggested(empty, f"{program} us") == {"usage"}
    assert _suggested(empty, f"{program} ") == {
        "usage",
        "why",
        "envs",
        "browse",
        "dedupe",
        "restore",
        "purge",
        "demo",
        "help",
    }
    assert _suggested(empty, f"{program} --older") == {"--older-than"}
    assert _suggested(empty, f"{program} envs --un") == {"--unused-for"}
    assert _suggested(empty, f"{program} --ci ") == {"image", "cache"}
    assert _suggested(empty, f"{program} help re") == {"restore"}
    assert _suggested(empty, f"{program} --older-than ") == set()


def test_names_of_environments_packages_and_runs_are_completed(filled: Machine) -> None:
    (run,) = [item["run"] for item in filled.run("prune", "restore", "--json").json["runs"]]

    assert "work" in _suggested(filled, "conda-prune envs ")
    assert "work" in _suggested(filled, "conda-prune usage wo")
    assert _suggested(filled, f"conda-prune usage {filled.directory}/") >= {str(filled.elsewhere).replace(" ", "\\ ")}
    assert _suggested(filled, "conda-prune restore ") == {"last", run}
    assert _suggested(filled, f"conda prune purge {run[:5]}") == {run}
    assert _suggested(filled, "conda-prune why us") == {"used"}


def test_only_options_that_the_help_lists_are_suggested(empty: Machine) -> None:
    for command in ("usage", "why", "envs", "browse", "dedupe", "restore", "purge", "demo"):
        listed = set(re.findall(r"(?<![\w-])--[a-z-]+", empty.run("prune", command, "--help").out))
        assert _suggested(empty, f"conda prune {command} --") <= listed


def test_completing_changes_nothing_and_runs_no_command(filled: Machine) -> None:
    before = listing(filled.cache)

    for line in ("conda-prune --yes ", "conda-prune purge --all --yes ", "conda-prune --nonsense x "):
        _answer(filled, line)

    assert listing(filled.cache) == before


def test_a_place_that_cannot_be_read_suggests_nothing(empty: Machine) -> None:
    assert _answer(empty, "conda-prune restore ", CONDA_PKGS_DIRS="/dev/null/x", CONDA_ENVS_DIRS="/dev/null/x")[0] == 0
    assert _answer(empty, "conda-prune usage ", CONDARC="/dev/null/x")[0] == 0


def test_without_argcomplete_nothing_is_suggested_and_no_command_runs(filled: Machine) -> None:
    before = listing(filled.cache)

    hidden = "import sys; sys.modules['argcomplete'] = None; "

    assert _answer(filled, "conda-prune --yes ", hidden + PRUNE) == (1, [])
    assert listing(filled.cache) == before


def test_lines_of_other_conda_commands_are_left_to_conda(empty: Machine) -> None:
    """Without arguments conda prints its help, whatever the shell wants to complete."""
    environ = empty.environ(_ARGCOMPLETE="1", COMP_LINE="conda install num", COMP_POINT="17")
    done = subprocess.run([sys.executable, "-c", CONDA], env=environ, capture_output=True, text=True, check=False)

    assert done.stdout.startswith("usage: ")
    assert "install" in done.stdout


def test_the_lines_for_bash_complete_conda_prune_and_keep_the_completion_of_conda(empty: Machine) -> None:
    found = re.search(
        r"<!-- snippet: bash -->\n```bash\n(.*?)\n```",
        (TOP / "docs" / "how-to" / "completion.md").read_text(),
        re.DOTALL,
    )
    assert found
    programs = empty.directory / "bin"
    programs.mkdir()
    for name, body in (
        ("conda-prune", f'exec "{sys.executable}" -c "{PRUNE}"'),
        (
            "register-python-argcomplete",
            f'exec "{sys.executable}" -m argcomplete.scripts.register_python_argcomplete "$@"',
        ),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    script = f"""\
_of_conda() {{ COMPREPLY=(conda-itself); }}
complete -F _of_conda conda
{found[1]}
ask() {{
  COMP_LINE="$*" COMP_POINT=${{#COMP_LINE}} COMP_TYPE=9 COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  COMP_POINT=${{#COMP_LINE}}
  _conda_with_prune "$1" "${{!#}}" x
  echo "${{COMPREPLY[@]}}"
}}
ask conda prune rest
ask conda install nu
ask conda pru
"""
    environ = empty.environ()
    environ["PATH"] = f"{programs}:{environ['PATH']}"

    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, check=True)  # noqa: S607

    assert [line.strip() for line in done.stdout.splitlines()] == ["restore", "conda-itself", "conda-itself"]
