"""Stand-ins for the conda packages that the recipe needs, made of what is installed here.

There is no conda channel to be had in a test, so the distributions of this interpreter's ``site-packages`` are packed
as conda packages, conda itself is what conda-lock carries under its own name, and ``python`` is a virtual environment
in package form: a ``pyvenv.cfg`` that names the interpreter's home and a symbolic link to the interpreter.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from conda_prune_plugin.demo.packages import File, Item, Package, SymLink, build_channel

if TYPE_CHECKING:
    from collections.abc import Iterable

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

#: What conda 24.7.1 imports; its own list (pyproject.toml of that version) has more, for commands not run here.
CONDA_NEEDS = (
    "archspec",
    "boltons",
    "conda-package-handling",
    "distro",
    "frozendict",
    "jsonpatch",
    "packaging",
    "platformdirs",
    "pluggy",
    "pycosat",
    "requests",
    "ruamel.yaml",
    "tqdm",
    "truststore",
    "zstandard",
)


def build_stand_ins(directory: Path, names: Iterable[str]) -> str:
    """Build a channel of python, conda, and `names` with all that they need; return its ``file://`` url."""
    found: dict[str, Package] = {}
    waiting = [*names, *CONDA_NEEDS]
    while waiting:
        installed = distribution(waiting.pop())
        name = _conda_name(installed.name)
        if name not in found:
            needed = _needed(installed)
            found[name] = _packed(installed, needed)
            waiting += needed
    return build_channel(directory, [_python(), _conda(), *found.values()])


def _conda_name(name: str) -> str:
    return re.sub(r"[-_]+", "-", name).lower()


def _needed(installed: Distribution) -> list[str]:
    """Return the distributions that one needs here, those of its extras left out."""
    requirements = [Requirement(line) for line in installed.requires or ()]
    return [found.name for found in requirements if found.marker is None or found.marker.evaluate({"extra": ""})]


def _packed(installed: Distribution, needed: list[str]) -> Package:
    """Return a distribution as a package: noarch, or of this Python if anything in it is compiled."""
    places = [path for path in installed.files or () if path.parts[0] != ".." and path.suffix != ".pyc"]
    compiled = any(path.suffix == ".so" for path in places)
    below = f"lib/python{PYTHON}/site-packages" if compiled else "site-packages"
    # Who installed it and from where is not the package's.
    kept = [path for path in places if path.name not in {"RECORD", "direct_url.json"}]
    return Package(
        _conda_name(installed.name),
        installed.version,
        depends=(f"python {PYTHON}.*" if compiled else "python", *map(_conda_name, needed)),
        files={f"{below}/{path.as_posix()}": File(path.read_binary()) for path in kept},
        noarch=None if compiled else "python",
        subdir="linux-64" if compiled else "noarch",
    )


def _python() -> Package:
    home = Path(sys.base_prefix, "bin")
    interpreter = Path(sys.executable).resolve()
    files: dict[str, Item] = {
        "pyvenv.cfg": File(f"home = {home}\ninclude-system-site-packages = false\n".encode()),
        f"lib/python{PYTHON}/site-packages/README.txt": File(b"Packages go here.\n"),
        "bin/python": SymLink(str(interpreter)),
        "bin/python3": SymLink("python"),
        f"bin/python{PYTHON}": SymLink("python"),
    }
    return Package("python", ".".join(map(str, sys.version_info[:3])), files=files)


def _conda() -> Package:
    """Return conda as conda-lock carries it, with its imports under their own name again."""
    top = Path(str(distribution("conda-lock").locate_file("conda_lock/_vendor/conda")))
    files: dict[str, Item] = {}
    for path in sorted(top.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            content = path.read_bytes().replace(b"conda_lock._vendor.conda", b"conda")
            files[f"site-packages/conda/{path.relative_to(top).as_posix()}"] = File(content)
    metadata = "Metadata-Version: 2.1\nName: conda\nVersion: 24.7.1\n"
    files["site-packages/conda-24.7.1.dist-info/METADATA"] = File(metadata.encode())
    needed = tuple(map(_conda_name, CONDA_NEEDS))
    return Package("conda", "24.7.1", depends=("python", *needed), files=files, noarch="python", subdir="noarch")
