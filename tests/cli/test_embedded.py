"""Which conda runs: the installed one, else the embedded, as one set of modules under both names."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from machine import Machine

from conda_prune_plugin.embedded import is_embedded

if TYPE_CHECKING:
    from pathlib import Path

embedded = pytest.mark.skipif(not is_embedded(), reason="a conda is installed, so none is embedded")


def _python(script: str, *, path: Path | None = None, code: int = 0) -> str:
    environ = {**os.environ, "PYTHONPATH": str(path)} if path else dict(os.environ)
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@embedded
def test_both_names_give_the_same_modules_whichever_is_imported_first() -> None:
    check = (
        "import conda.base.context as a, conda_lock._vendor.conda.base.context as b; assert a is b; import conda_lock"
    )
    later = (
        "from conda.models.match_spec import MatchSpec as A\n"
        "from conda_lock._vendor.conda.models.match_spec import MatchSpec as B\n"
        "assert A is B\n"
    )
    activate = "from conda_prune_plugin.embedded import activate; assert activate() and activate()"

    _python(f"{activate}\n{check}\n{later}")
    _python(f"import conda_lock._vendor.conda.common.path\n{activate}\n{check}\n{later}")


@embedded
def test_conda_lock_itself_is_not_imported_by_a_command(empty: Machine) -> None:
    script = (
        "import sys\n"
        "from conda_prune_plugin.embedded import main\n"
        "assert main(['prune', '--dry-run', '--json']) == 0\n"
        "print(sorted(name for name in sys.modules if name.startswith('conda_lock.conda_lock')), file=sys.stderr)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], env=empty.environ(), capture_output=True, text=True, check=True
    )

    assert done.stderr.splitlines()[-1] == "[]"


def test_an_installed_conda_is_used_and_nothing_is_aliased(tmp_path: Path) -> None:
    (tmp_path / "conda").mkdir()
    (tmp_path / "conda" / "__init__.py").write_text("mine = True\n")

    _python(
        "from conda_prune_plugin.embedded import activate\n"
        "import sys\n"
        "finders = list(sys.meta_path)\n"
        "assert not activate()\n"
        "import conda\n"
        "assert conda.mine and sys.meta_path == finders\n",
        path=tmp_path,
    )


def test_without_any_conda_it_says_how_to_get_one() -> None:
    script = (
        "import importlib.util, sys\n"
        "importlib.util.find_spec = lambda name: None\n"
        "from conda_prune_plugin.embedded import prune\n"
        "sys.exit(prune())\n"
    )

    said = _python(script, code=1)

    assert "pip install 'conda-prune[embedded]'" in said
    assert "Traceback" not in said


@embedded
@pytest.mark.parametrize(("module", "code"), [("__init__", "{}"), ("cli/main", "def main(*_):\n    {}")])
def test_an_interruption_that_conda_does_not_answer_is_answered_in_one_line(
    tmp_path: Path, module: str, code: str
) -> None:
    (tmp_path / "conda" / "cli").mkdir(parents=True)
    (tmp_path / "conda" / "__init__.py").touch()
    # Started in the background of a shell Python would not be interrupted.
    interrupted = "signal.signal(signal.SIGINT, signal.default_int_handler); signal.raise_signal(signal.SIGINT)"
    (tmp_path / "conda" / f"{module}.py").write_text(f"import signal\n{code.format(interrupted)}\n")

    said = _python("from conda_prune_plugin.embedded import prune; raise SystemExit(prune())", path=tmp_path, code=130)

    assert said == "conda-prune: interrupted.\n"


def test_conda_may_look_for_a_graphics_card(empty: Machine) -> None:
    """It starts a process for that, which has to find conda as well; the sandbox switches it off to save time."""
    environ = empty.environ()
    del environ["CONDA_OVERRIDE_CUDA"]
    script = empty.directory / "script.py"
    script.write_text(
        "import sys\nfrom conda_prune_plugin.embedded import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    )
    for command in (
        ["-m", "conda_prune_plugin.embedded"],
        [str(script)],
    ):
        done = subprocess.run(
            [sys.executable, *command, "info"], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0
        assert "virtual packages" in done.stdout
        assert done.stderr == ""


def test_the_command_and_the_subcommand_are_the_same(empty: Machine) -> None:
    script = os.path.join(os.path.dirname(sys.executable), "conda-prune")
    for arguments in (("--help",), ("--dry-run", "--json"), ("--min-age", "x")):
        alone = subprocess.run([script, *arguments], env=empty.environ(), capture_output=True, text=True, check=False)
        inside = empty.run("prune", *arguments)
        assert (alone.returncode, alone.stdout, alone.stderr) == (inside.code, inside.out, inside.err)


@embedded
def test_on_a_machine_without_conda_the_usual_places_count(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "it")
    machine.create()
    base = machine.home / "miniforge3"
    for name in ("conda-meta", "pkgs", "envs/e/conda-meta"):
        (base / name).mkdir(parents=True)

    document = machine.run("prune", "--dry-run", "--json").json

    assert str(base / "pkgs") in [cache["path"] for cache in document["caches"]]
    assert {str(base), str(base / "envs" / "e")} <= {root["path"] for root in document["roots"]}


def test_a_program_that_calls_the_command_and_goes_on_finds_python_as_it_was(empty: Machine) -> None:
    script = (
        "import gc, signal, sys\n"
        "from conda_prune_plugin.embedded import main\n"
        "def state(): return gc.get_threshold(), gc.get_freeze_count(), signal.getsignal(signal.SIGINT)\n"
        "before = state()\n"
        "assert main(['prune', '--dry-run', '--json']) == 0\n"
        "assert state() == before, (before, state())\n"
    )

    subprocess.run([sys.executable, "-c", script], env=empty.environ(), capture_output=True, text=True, check=True)
