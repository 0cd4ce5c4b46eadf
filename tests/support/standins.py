"""Stand-ins for the conda packages that the recipe needs, made of what is installed here.

There is no conda channel to be had in a test, so the distributions of this interpreter's ``site-packages`` are packed
as conda packages, conda itself is the one that the tests run on, and ``python`` is a virtual environment in package
form: a ``pyvenv.cfg`` that names the interpreter's home and a symbolic link to the interpreter.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING

import conda
from packaging.requirements import Requirement

from conda_prune_plugin.demo.demo_packages import File, Item, Package, SymLink, build_channel

if TYPE_CHECKING:
    from collections.abc import Iterable

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

#: What conda imports, from 24.7.1 to 26.7; its own list (its pyproject.toml) has more, for commands not run here.
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

#: What only newer ones import: where one runs, it is installed.
_NEWER_NEEDS = ("backports.zstd", "msgpack")


def build_stand_ins(directory: Path, names: Iterable[str]) -> str:
    """Build a channel of python, conda, and `names` with all that they need; return its ``file://`` url."""
    found: dict[str, Package] = {}
    needs = [*CONDA_NEEDS, *(name for name in _NEWER_NEEDS if any(distributions(name=name)))]
    waiting = [*names, *needs]
    while waiting:
        installed = distribution(waiting.pop())
        name = _conda_name(installed.name)
        if name not in found:
            needed = _needed(installed)
            found[name] = _packed(installed, needed)
            waiting += needed
    return build_channel(directory, [_python(), _conda(needs), *found.values()])


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


def _conda(needs: Iterable[str]) -> Package:
    """Return the conda that there is; the imports of the one that conda-lock carries are under their own name again."""
    # What follows tells which commit a checkout is at.
    version = conda.__version__.partition("+")[0]
    top = Path(conda.CONDA_PACKAGE_ROOT)
    files: dict[str, Item] = {}
    for path in sorted(top.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            content = path.read_bytes().replace(b"conda_lock._vendor.conda", b"conda")
            files[f"site-packages/conda/{path.relative_to(top).as_posix()}"] = File(content)
    # A checkout has none of its own.
    files.setdefault("site-packages/conda/_version.py", File(f"__version__ = {version!r}\n".encode()))
    metadata = f"Metadata-Version: 2.1\nName: conda\nVersion: {version}\n"
    files[f"site-packages/conda-{version}.dist-info/METADATA"] = File(metadata.encode())
    needed = ("python", *map(_conda_name, needs))
    return Package("conda", version, depends=needed, files=files, noarch="python", subdir="noarch")
