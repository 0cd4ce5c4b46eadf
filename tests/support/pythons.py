"""Real interpreters and a real pip as conda packages, for environments that pip installs into.

A virtual environment in package form: ``pyvenv.cfg`` beside a link to the interpreter that runs the tests. pip is
repacked from where the tests' own one lies.
"""

from __future__ import annotations

import os
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

from conda_prune_plugin.demo.demo_packages import File, Package, SymLink

_BASE = Path(os.path.realpath(sys.executable))
_VERSION = f"3.{sys.version_info.minor}.0"
_SITE = f"lib/python3.{sys.version_info.minor}/site-packages"

PYTHON = Package(
    "python",
    _VERSION,
    build="venv",
    files={
        "pyvenv.cfg": File(f"home = {_BASE.parent}\ninclude-system-site-packages = false\n".encode()),
        "bin/python": SymLink(str(_BASE)),
        f"{_SITE}/.keep": File(b""),
    },
)


def pip() -> Package:
    """Return pip as a package of conda's."""
    found = distribution("pip")
    files = {}
    for item in found.files or ():
        place = Path(str(item.locate()))
        if item.parts[0].startswith("pip") and item.suffix != ".pyc" and item.name not in ("INSTALLER", "RECORD"):
            files[f"{_SITE}/{item.as_posix()}"] = File(place.read_bytes())
    info = next(name for name in files if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
    files[f"{info}/INSTALLER"] = File(b"conda\n")
    return Package("pip", found.version, build="0", depends=("python",), files=files)


def wheel(directory: Path, name: str, version: str) -> Path:
    """Write a wheel with one module and return its path."""
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*contents, f"{info}/RECORD"))
    path = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in {**contents, f"{info}/RECORD": record}.items():
            archive.writestr(file, content)
    return path
