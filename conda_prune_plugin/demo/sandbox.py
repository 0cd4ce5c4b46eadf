"""A sandbox for real conda: home, caches, environments and settings, all below one directory."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: The caller's variables that conda gets. Others could lead it out of the sandbox.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "PYTHONDONTWRITEBYTECODE", "COVERAGE_PROCESS_CONFIG")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Runs conda commands that see nothing of the machine but the Python interpreter."""

    directory: Path

    @property
    def home(self) -> Path:
        """The home directory, with the registry ``.conda/environments.txt``."""
        return self.directory / "home"

    @property
    def cache(self) -> Path:
        """The package cache."""
        return self.directory / "pkgs"

    @property
    def envs(self) -> Path:
        """The directory of the named environments."""
        return self.directory / "envs"

    @property
    def registry(self) -> Path:
        """The file that lists the environments."""
        return self.home / ".conda" / "environments.txt"

    def create(self) -> None:
        """Make the directories and the configuration file."""
        for directory in (self.home, self.cache, self.envs):
            directory.mkdir(parents=True, exist_ok=True)
        # Without it conda considers a cache read-only.
        (self.cache / "urls.txt").touch()
        (self.directory / "condarc").write_text("{}\n")

    def environ(self, **changes: str) -> dict[str, str]:
        """Return the environment variables of a command in the sandbox."""
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {
            **passed_on,
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "CONDARC": str(self.directory / "condarc"),
            "CONDA_PKGS_DIRS": str(self.cache),
            "CONDA_ENVS_DIRS": str(self.envs),
            "CONDA_SOLVER": "classic",
            "CONDA_ADD_PIP_AS_PYTHON_DEPENDENCY": "false",
            "CONDA_REPORT_ERRORS": "false",
            "CONDA_NOTIFY_OUTDATED_CONDA": "false",
            "CONDA_OFFLINE": "true",
            # Detecting a graphics card takes a process of its own.
            "CONDA_OVERRIDE_CUDA": "",
            # Other installers on this machine don't use these caches (`system.processes`).
            "CONDA_PRUNE_SANDBOX": str(self.directory),
            **changes,
        }

    def write_shell(self) -> Path:
        """Write a script that runs its arguments, or else a shell, in the sandbox; return its path.

        Its command ``conda`` is the conda of this process, which may have no command otherwise.
        """
        commands = self.directory / "bin"
        commands.mkdir(exist_ok=True)
        python = shlex.quote(sys.executable)
        _write_script(commands / "conda", f'exec {python} -m conda_prune_plugin.embedded "$@"')
        own = [f"{name}={value}" for name, value in self.environ().items() if name not in _PASSED_ON]
        script = self.directory / "shell"
        _write_script(
            script,
            f"PATH={shlex.quote(str(commands))}:{shlex.quote(os.path.dirname(sys.executable))}:$PATH",
            '[ $# -gt 0 ] || set -- "${SHELL:-sh}"',
            f'exec env {shlex.join(own)} "$@"',
        )
        return script

    def conda(
        self, *arguments: str | os.PathLike[str], environ: Mapping[str, str] | None = None, stdin: str | None = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run ``conda ARGUMENTS`` to its end and return what it printed. Raises nothing for a failure."""
        command = [sys.executable, "-m", "conda_prune_plugin.embedded", *(os.fspath(item) for item in arguments)]
        return subprocess.run(
            command,
            env=self.environ(**(environ or {})),
            cwd=self.directory,
            input=stdin,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )


def _write_script(path: Path, *lines: str) -> None:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
