"""Which other processes count as an installation under way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from conda_prune_plugin.discovery.envs.external_references import running
from conda_prune_plugin.discovery.system import processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize(
    "command",
    [
        "/opt/conda/bin/python /opt/conda/bin/conda create -n list python",
        "/opt/conda/bin/python3.12 -u -W error -X dev -m conda install numpy",
        "conda -n list install foo",
        "C:\\Miniconda3\\Scripts\\conda.exe update --all",
        "_conda install --offline --file pkgs/env.txt",
        "sh /opt/conda/bin/conda create -n x",
        "conda env create -f environment.yml",
        "conda-env update",
        "mamba remove numpy",
        "micromamba -r /data create -n x -c conda-forge python",
        "micromamba --root-prefix /data install -n run python",
        "pixi install",
        "pixi i",
        "pixi --manifest-path x/pixi.toml add numpy",
        "pixi global install ripgrep",
        "conda-build recipe",
        "conda-mambabuild recipe",
        "rattler-build build -r recipe.yaml",
        "conda-lock install -n x conda-lock.yml",
        "conda workspace install",
        "conda ws install -e dev",
        "conda ws --file pixi.toml add -e dev pytest",
        "conda workspace update --json",
        "python -m conda_workspaces remove numpy",
        "cw -f conda.toml install",
        "conda pypi install requests",
        "python -m conda pypi install -e .",
        "conda pypi -n list install requests",
        "conda exec ruff --version",
        "conda exec --with pytest -c conda-forge python -h",
        "ce --refresh ruff",
        "/home/me/conda/bin/python /home/me/conda/bin/ce script.py",
        "conda global install gh",
        "conda global -v sync",
        "cg update -e gh",
        "python -m conda_global add -e gh git",
        "conda doctor --fix",
        "conda doctor -n x --heal package-caches",
        "conda self update",
        "pixi build",
        "pixi publish --to x",
        "pixi --color never g i ripgrep",
        "pixi global upgrade-all",
        "pixi global expose add rg",
        "pixi workspace channel add conda-forge",
    ],
)
def test_what_installs_is_recognised(command: str) -> None:
    assert processes.is_installing(command.split(" "))


@pytest.mark.parametrize(
    "command",
    [
        "",
        "conda",
        "conda list",
        "conda -n build list",
        "conda export --name create",
        "conda notices install",
        "conda create --help",
        "conda install --dry-run numpy",
        "conda env list",
        "conda run -n x install",
        "conda prune --yes",
        "conda-prune --backup",
        "python -m pip install conda",
        "python install.py create",
        "python",
        "python -m",
        "vim conda",
        "grep conda install",
        "pixi run install",
        "pixi shell",
        "pixi global list",
        "mamba search install",
        "conda workspace run install",
        "conda ws list",
        "conda ws install --dry-run",
        "ct run install",
        "conda pypi",
        "conda pypi index install",
        "conda exec --list",
        "conda exec --clean --yes",
        "conda exec --help ruff",
        "ce",
        "conda global list",
        "conda global tree install",
        "cg expose rg=rg",
        "conda doctor",
        "conda doctor -n --fix",
        "conda self --help",
        "pixi exec install",
        "pixi workspace channel list",
        "pixi task add install",
    ],
)
def test_what_does_not_install_is_not(command: str) -> None:
    assert not processes.is_installing(command.split(" "))


@pytest.fixture
def conda(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that calls itself ``conda install`` and uses a cache of its own."""
    environ = {**os.environ, "CONDA_PKGS_DIRS": str(tmp_path / "its")}
    (tmp_path / "conda").write_text("import time; time.sleep(60)\n")
    process = subprocess.Popen([sys.executable, tmp_path / "conda", "install", "numpy"], env=environ)
    yield process
    process.kill()
    process.wait()


def _found(cache: Path) -> dict[int, str]:
    return {process.pid: process.command for process in processes.installing([str(cache)])}


def test_a_process_counts_for_the_caches_that_its_environment_names(
    conda: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "its").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "its")

    assert _found(tmp_path / "link")[conda.pid] == "conda install numpy"
    assert conda.pid not in _found(tmp_path / "ours")


def test_a_process_that_ends_while_others_are_looked_at_counts_no_more(
    conda: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = processes.processes

    def and_then_it_ends() -> Iterator[tuple[int, int, list[str]]]:
        yield from seen()
        conda.kill()
        # Nobody has waited for it yet.
        os.waitid(os.P_PID, conda.pid, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(processes, "processes", and_then_it_ends)

    assert conda.pid not in _found(tmp_path / "ours")
    conda.wait()
    # By now there is nothing left of it.
    monkeypatch.setattr(processes, "processes", lambda: iter([(conda.pid, 1, ["conda", "install", "numpy"])]))
    assert conda.pid not in _found(tmp_path / "ours")


def test_conda_exec_counts_until_it_starts_its_tool(tmp_path: Path) -> None:
    # As conda_exec.cache and conda_exec.run do it: an environment that is renamed when it is complete, and a child.
    (tmp_path / "ce").write_text(
        "import subprocess, sys\nfor path in sys.argv[2:]:\n    print(flush=True)\n    subprocess.call([path])\n"
    )
    envs = tmp_path / "exec" / "envs"
    steps = [envs / ".tmp-1a" / "bin" / "python", envs / "tool-1a" / "bin" / "tool"]
    for step in steps:
        step.parent.mkdir(parents=True)
        step.write_text("#!/bin/sh\necho ready; read line\n")
        step.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "ce", "tool", *steps],
        env={**os.environ, "CONDA_PKGS_DIRS": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout

    counts = []
    for _ in steps:
        assert process.stdout.readline() == "\n"
        assert process.stdout.readline() == "ready\n"
        counts.append(process.pid in _found(tmp_path))
        process.stdin.write("\n")
        process.stdin.flush()
    process.communicate()

    assert counts == [True, False]


def test_in_a_sandbox_only_its_own_processes_count_for_its_caches(
    conda: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_PRUNE_SANDBOX", str(tmp_path / "sandbox"))
    own = {**os.environ, "CONDA_PKGS_DIRS": str(tmp_path / "sandbox" / "pkgs")}
    # As anybody's conda on this machine: nothing tells what caches it uses.
    names_none = {name: value for name, value in os.environ.items() if "PRUNE" not in name and "PKGS" not in name}
    others = [
        subprocess.Popen([sys.executable, tmp_path / "conda", "create", "-n", "x"], env=environ)
        for environ in (own, names_none)
    ]
    try:
        inside, elsewhere = _found(tmp_path / "sandbox" / "pkgs"), _found(tmp_path / "pkgs")
    finally:
        for process in others:
            process.kill()
            process.wait()

    assert {process.pid for process in (conda, *others)} & inside.keys() == {others[0].pid}
    assert {process.pid for process in (conda, *others)} & elsewhere.keys() == {others[1].pid}


def test_where_no_process_can_be_seen_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "no-proc"))

    assert not processes.can_look()
    assert _found(tmp_path) == {}


def test_a_process_counts_for_the_environment_of_a_file_that_it_has_open(tmp_path: Path) -> None:
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
    (tmp_path / "open" / "data").touch()
    code = f"file = open({str(tmp_path / 'open' / 'data')!r}); print(flush=True); input()"
    # By the standard input, so that no argument names the file.
    command = [sys.executable, "-c", "exec(input())"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    process.stdin.write(code + "\n")
    process.stdin.flush()
    process.stdout.readline()

    found = running([str(tmp_path / "open"), str(tmp_path / "closed")])
    process.communicate("\n")

    assert {path: [(item.pid, item.how) for item in items] for path, items in found.items()} == {
        str(tmp_path / "open"): [(process.pid, "uses a file in it")]
    }


@pytest.mark.parametrize(
    ("sign", "how"),
    [
        ("directory", "is running from it"),
        ("executable", "is running from it"),
        ("variable", "has it activated"),
        ("argument", "names it in its command line"),
        ("title", "names it in its command line"),
    ],
)
def test_a_process_runs_from_an_environment_only_by_its_executable_or_directory(
    tmp_path: Path, sign: str, how: str
) -> None:
    shell = shutil.which("sh")
    assert shell
    own = shutil.copy(shell, tmp_path / "own")
    words = ["sh", "-c", "echo; read line", *([own] if sign == "argument" else [])]
    with subprocess.Popen(
        [own, *words[1:]] if sign == "title" else words,
        executable=own if sign == "executable" else shell,
        cwd=tmp_path if sign == "directory" else None,
        env={**os.environ, **({"CONDA_PREFIX": str(tmp_path)} if sign == "variable" else {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        found = running([str(tmp_path)])
        process.communicate(b"\n")

    assert [(item.pid, item.how) for item in found[str(tmp_path)]] == [(process.pid, how)]


def test_we_and_those_who_wait_for_us_don_t_count(tmp_path: Path) -> None:
    look = (
        "import sys; from conda_prune_plugin.discovery.system.processes import installing;"
        f"print([process.command for process in installing([{str(tmp_path)!r}])])"
    )
    (tmp_path / "conda").write_text(
        f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {look!r}]))\n"
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "conda", "install", "me"],
        env={**os.environ, "CONDA_PKGS_DIRS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "install me" not in done.stdout
