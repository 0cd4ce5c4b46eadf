# PYTHON_ARGCOMPLETE_OK: argcomplete's global completion looks for this in the file of the command ``conda-prune``.
"""Which conda to run: the installed one, else the copy that the PyPI package conda-lock ships.

conda itself is not on PyPI, but conda-lock carries an unmodified conda 24.7.1 as ``conda_lock._vendor.conda``. After
`activate`, ``import conda`` gives that one, loaded from its directory under its own name, and
``conda_lock._vendor.conda`` and everything below it are the same modules: never a second copy. conda-lock itself, whose
import takes longer than all of conda's, is not imported for that.

``python -m conda_prune_plugin.embedded ARGS...`` is conda's own command line, with this plugin.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_VENDORED = "conda_lock._vendor.conda"
_DIRECTORY = os.path.join("_vendor", "conda")

_NO_CONDA = """\
conda-prune: no conda found.
Install conda-prune into an environment with conda, or install it with its own:
  pip install 'conda-prune[embedded]'
"""


def activate() -> bool:
    """Make ``import conda`` work; return True if that took the embedded copy.

    An installed conda takes precedence. Raises `ModuleNotFoundError` if there is neither.
    """
    if is_embedded():
        return True
    if "conda" in sys.modules or importlib.util.find_spec("conda") is not None:
        return False
    directory = _vendored_directory()
    if directory is None:
        raise ModuleNotFoundError("No module named 'conda', and conda-lock, which carries one, is not installed")
    # Modules that were imported under the long name already are the same under the short name.
    for name, module in list(sys.modules.items()):
        if name == _VENDORED or name.startswith(f"{_VENDORED}."):
            sys.modules[_short(name)] = module
    sys.meta_path.insert(0, _Finder(directory))
    if sys.version_info >= (3, 13):
        _adapt_to_newer_python()
    return True


def activate_for_commands() -> None:
    """Activate conda for a program that loads conda's plugins."""
    if activate():
        _leave_out_conda_lock()


def is_embedded() -> bool:
    """Return True if ``import conda`` gives the embedded copy."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run conda's command line and return its exit code."""
    try:
        try:
            activate_for_commands()
        except ModuleNotFoundError:
            sys.stderr.write(_NO_CONDA)
            return 1
        from conda.cli.main import main as conda_main

        return int(conda_main(*(sys.argv[1:] if arguments is None else arguments)) or 0)
    except KeyboardInterrupt:
        # Interrupted during the import of conda, half of the time of a short command, or during another Ctrl-C.
        sys.stderr.write("conda-prune: interrupted.\n")
        # `errors.INTERRUPTED`, which can't be imported without conda.
        return 130


def main_afresh(arguments: Sequence[str]) -> int:
    """Run conda's command line as if in a new process, whose start would take longer than most commands."""
    from conda.base.context import reset_context
    from conda.core.package_cache_data import PackageCacheData
    from conda.core.prefix_data import PrefixData

    reset_context()
    PackageCacheData.clear()
    PrefixData._cache_.clear()
    return main(arguments)


def prune() -> int:
    """The command ``conda-prune``: the same as ``conda prune``."""
    return main(["prune", *sys.argv[1:]])


def _vendored_directory() -> str | None:
    """Return the directory of the embedded conda, without importing conda-lock."""
    spec = importlib.util.find_spec("conda_lock")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        directory = os.path.join(location, _DIRECTORY)
        if os.path.isfile(os.path.join(directory, "__init__.py")):
            return directory
    return None


def _adapt_to_newer_python() -> None:
    """Make conda 24.7.1, made for Python up to 3.12, run on later versions. Newer condas don't need this."""
    # conda.common.io calls two functions that Python 3.13 removed; they acquired and released this lock.
    lock = logging._lock  # type: ignore[attr-defined]  # noqa: SLF001
    logging._acquireLock = lock.acquire  # type: ignore[attr-defined]  # noqa: SLF001
    logging._releaseLock = lock.release  # type: ignore[attr-defined]  # noqa: SLF001
    # A partial as a class attribute, called through an instance: Python 3.14 passes the instance, 3.13 warns.
    from conda.gateways.logging import TokenURLFilter

    TokenURLFilter.TOKEN_REPLACE = staticmethod(TokenURLFilter.TOKEN_REPLACE)


def _leave_out_conda_lock() -> None:
    """Keep conda from importing conda-lock, which takes longer than everything else together."""
    from importlib.metadata import distributions

    from conda import deprecations
    from conda.plugins import manager

    def is_conda_lock(found: Distribution) -> bool:
        # By its entry points, which conda reads anyway: reading the names of all distributions takes ten times as long.
        return any(point.group == "conda" and point.value.startswith("conda_lock.") for point in found.entry_points)

    # It is a conda plugin too, but nothing of it is needed here.
    manager.distributions = lambda: (found for found in distributions() if not is_conda_lock(found))
    # conda.cli.main_env_list imports this one by its long name, which would import all packages around it.
    sys.modules[f"{_VENDORED}.deprecations"] = deprecations


def _short(name: str) -> str:
    return "conda" + name[len(_VENDORED) :]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds ``conda`` in the vendored directory, and for ``conda_lock._vendor.conda`` the modules of ``conda``."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "conda":
            return importlib.util.spec_from_file_location(
                fullname,
                os.path.join(self._directory, "__init__.py"),
                submodule_search_locations=[self._directory],
            )
        if fullname == _VENDORED or fullname.startswith(f"{_VENDORED}."):
            return importlib.machinery.ModuleSpec(fullname, _Alias())
        return None


class _Alias(importlib.abc.Loader):
    """Gives an already loaded module a second name."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(_short(spec.name))
        # The import system is about to write the alias's spec into the module; exec_module undoes that.
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _is_spawned() -> bool:
    """Return True if a process spawned by ``multiprocessing`` is importing its parent's main program right now.

    It does so under the name ``__mp_main__`` (multiprocessing.spawn.prepare), which elsewhere is ``__main__`` itself.
    """
    spawned = sys.modules.get("__mp_main__")
    return spawned is not None and spawned is not sys.modules.get("__main__")


if __name__ == "__main__":
    # As the module that all others import: there must be only one `_Finder`.
    from conda_prune_plugin import embedded  # noqa: PLW0406

    sys.exit(embedded.main())
elif _is_spawned():
    # conda starts a process to detect CUDA, and passes a function by name.
    activate()
