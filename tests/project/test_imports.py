"""Imports go one way only, and the plugin costs other commands nothing."""

from __future__ import annotations

import ast
import builtins
import io
import os
import re
import subprocess
import sys
import tokenize
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import conda_prune_plugin

PACKAGE = Path(conda_prune_plugin.__file__).parent

#: What each part may import of the others; `errors` needs conda for `CondaError`.
ALLOWED = {
    "core": {"core"},
    "discovery": {"core", "discovery", "embedded", "errors", "failures"},
    "execution": {"core", "execution", "errors", "failures"},
    "presentation": {"core", "presentation", "failures"},
    "demo": {"demo", "embedded"},
    "settings": {"core", "discovery", "errors", "failures"},
    "operations": {"core", "discovery", "errors", "execution", "failures", "operations", "presentation"},
    "cli": {
        "cli",
        "core",
        "demo",
        "discovery",
        "errors",
        "execution",
        "failures",
        "operations",
        "presentation",
        "settings",
    },
    "api": {"cli", "core", "discovery", "embedded", "errors", "failures", "operations", "presentation"},
    "plugin": {"cli", "operations", "settings"},
    "embedded": set(),
    "errors": set(),
    "failures": set(),
}

#: The only files that may import conda: a new version of it breaks these and no other. At most twelve.
CONDA = {
    "cli/parsing/output_options.py",
    "discovery/clients/conda_context.py",
    "discovery/clients/conda_specs.py",
    "embedded.py",
    "errors.py",
    "operations/conda_fetch.py",
    "operations/conda_hooks.py",
    "plugin.py",
    "settings.py",
}

#: The core touches no disk, asks no clock and prints nothing.
IMPURE = {"io", "pathlib", "shutil", "subprocess", "time", "datetime", "sys", "random", "logging", "json", "rich"}

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


#: Names of conda, and of its plugins, that docstrings and comments refer to.
OF_CONDA = {
    "CondaPluginManager.has_package_extension",
    "CondaVerificationError",
    "Configuration",
    "Context.conda_build_local_paths",
    "History.construct_states",
    "PackageCacheData._make_single_record",
    "PackageCacheData.first_writable",
    "PackageCacheData.get_all_extracted_entries",
    "ProgressiveFetchExtract",
    "confirm_yn",
    "list_all_known_prefixes",
    "make_menu",
    "rm_rf",
    "unregister_env",
    "urls.txt",
}


def _part(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def _imports(module: Path) -> set[str]:
    """Return the top-level names that a module imports, with `.part` for parts of this package."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            if node.level == len(module.parts):
                found |= {"." + name.split(".")[0] for name in names}
            elif node.level:
                found.add("." + _part(module))
            else:
                found |= {name.split(".")[0] for name in names}
    return found


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_down_only(module: Path) -> None:
    ours = {name[1:] for name in _imports(module) if name.startswith(".")}

    assert ours <= ALLOWED[_part(module)]


def _top_level_imports(module: Path) -> set[Path]:
    """Return the modules of this package that a module imports when it is imported."""
    found = set()
    for node in ast.parse((PACKAGE / module).read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            room = module.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            found |= {Path(f"{room}.py"), *(room / f"{alias.name}.py" for alias in node.names)}
    return found & set(MODULES)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: _top_level_imports(module) for module in MODULES}

    # Raises `CycleError`, which names the circle.
    assert set(TopologicalSorter(graph).static_order()) == set(MODULES)


def test_no_name_of_a_module_is_given_twice() -> None:
    counts = Counter(module.name for module in MODULES)

    assert [name for name, count in counts.items() if count > 1] == []


def test_no_room_holds_more_than_fifteen_modules_and_rooms() -> None:
    rooms = {PACKAGE, *((PACKAGE / module).parent for module in MODULES)}
    sizes = {
        str(room.relative_to(PACKAGE)): len([entry for entry in room.iterdir() if not entry.name.startswith("__")])
        for room in rooms
    }

    assert {room: size for room, size in sizes.items() if size > 15} == {}


def test_names_in_docstrings_and_comments_exist() -> None:
    used = {name for module in MODULES for name in _names((PACKAGE / module).read_text())}
    used |= {module.stem for module in MODULES} | set(dir(builtins))

    unknown = {
        f"{module}: {name}"
        for module in MODULES
        for name in _QUOTED.findall(_remarks((PACKAGE / module).read_text()))
        if not name.startswith("conda") and name not in OF_CONDA and not used.issuperset(name.split("."))
    }

    assert unknown == set()


#: A name in single backticks; in double ones stands what is typed, printed or stored.
_QUOTED = re.compile(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)")


def _remarks(source: str) -> str:
    """Return the comments and docstrings of a module."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return "\n".join(
        token.string
        for token in tokens
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""'))
    )


def _names(source: str) -> set[str]:
    """Return every name that a module uses in code."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def test_conda_is_imported_in_a_few_files_only() -> None:
    assert {module.as_posix() for module in MODULES if "conda" in _imports(module)} == CONDA
    assert len(CONDA) <= 12


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_the_words_of_the_command_line_become_values_in_cli_only(module: Path) -> None:
    if _part(module) != "cli":
        assert "argparse" not in _imports(module)


@pytest.mark.parametrize("module", [module for module in MODULES if _part(module) == "core"], ids=str)
def test_the_core_is_pure(module: Path) -> None:
    tree = ast.parse((PACKAGE / module).read_text())
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}

    assert not IMPURE & _imports(module)
    assert not {"open", "print", "input"} & calls


@pytest.mark.parametrize("module", [module for module in MODULES if _part(module) == "discovery"], ids=str)
def test_no_error_of_the_disk_is_caught_without_a_note(module: Path) -> None:
    tree = ast.parse((PACKAGE / module).read_text())
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type is not None]
    silent = [
        handler.lineno
        for handler in handlers
        if "OSError" in ast.unparse(handler.type or handler)
        and not any(isinstance(step, ast.Raise) for step in handler.body)
        and "note(" not in ast.unparse(handler)
    ]
    asked = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}

    assert not silent
    assert "suppress" not in {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "contextlib"
        for alias in node.names
    }
    answering = {f"os.path.{name}" for name in ("exists", "lexists", "isfile", "isdir", "islink", "realpath")}
    assert not asked & {*answering, "os.access"}


#: What conda imports of this package to make the parser, at every command.
FOR_THE_PARSER = {
    "conda_prune_plugin.cli",
    "conda_prune_plugin.cli.parsing",
    "conda_prune_plugin.cli.parsing.command_table",
    "conda_prune_plugin.cli.parsing.option_table",
    "conda_prune_plugin.cli.parsing.output_options",
    "conda_prune_plugin.cli.parsing.parsers",
    "conda_prune_plugin.embedded",
    "conda_prune_plugin.plugin",
    "conda_prune_plugin.settings",
}


def test_importing_the_plugin_imports_nothing_else_of_this_package() -> None:
    script = (
        "import sys\n"
        "from conda_prune_plugin.embedded import activate; activate()\n"
        "import conda.plugins\n"
        "before = set(sys.modules)\n"
        "import conda_prune_plugin.plugin\n"
        "print(sorted(set(sys.modules) - before))\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['conda_prune_plugin.plugin']"


def test_other_commands_of_conda_load_the_hooks_and_the_tables_of_the_parser_only() -> None:
    script = (
        "import sys\n"
        "from conda_prune_plugin.embedded import activate; activate()\n"
        "from conda.cli.main import main\n"
        "main('info', '--envs')\n"
        "print(sorted(name for name in sys.modules if name.startswith('conda_prune_plugin.')))\n"
    )
    # conda would start a process to look for it.
    environ = {**os.environ, "CONDA_OVERRIDE_CUDA": ""}

    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)

    assert "conda_prune_plugin.plugin" in done.stdout
    assert set(ast.literal_eval(done.stdout.strip().splitlines()[-1])) <= FOR_THE_PARSER


def test_a_dry_run_loads_nothing_that_removes(tmp_path: Path) -> None:
    (tmp_path / "pkgs").mkdir()
    (tmp_path / "pkgs" / "urls.txt").touch()
    script = (
        "import sys\n"
        "from conda_prune_plugin.embedded import main\n"
        "assert main(['prune', '--dry-run']) == 0\n"
        "print(sorted(name for name in sys.modules if name.startswith('conda_prune_plugin.execution.')))\n"
    )
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CONDA_PKGS_DIRS": str(tmp_path / "pkgs"),
        "CONDA_ENVS_DIRS": str(tmp_path / "envs"),
    }

    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)

    # How long to wait for a lock is an option.
    assert set(ast.literal_eval(done.stdout.strip().splitlines()[-1])) <= {
        "conda_prune_plugin.execution.files",
        "conda_prune_plugin.execution.files.dir_fd",
        "conda_prune_plugin.execution.files.ownership",
        "conda_prune_plugin.execution.locks",
        "conda_prune_plugin.execution.locks.run_lock",
    }


def _loaded_by_parsing(before: str, command: str) -> set[str]:
    script = (
        "import sys\n"
        "from conda_prune_plugin.embedded import activate; activate()\n"
        f"{before}\n"
        "from conda.cli.conda_argparse import generate_parser\n"
        f"generate_parser().parse_args(['{command}'])\n"
        "print(sorted(name for name in sys.modules if name.startswith(('conda_prune_plugin.', 'rich'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stdout.strip().splitlines()[-1]))


@pytest.mark.parametrize("command", ["info", "prune"])
def test_parsing_a_line_imports_neither_rich_nor_what_the_commands_need(command: str) -> None:
    # A conda that runs from a checkout has its version looked up by setuptools-scm, which imports rich.
    alone = _loaded_by_parsing("from conda.plugins import manager; manager.distributions = lambda: ()", "info")

    assert "conda_prune_plugin.plugin" not in alone
    assert _loaded_by_parsing("", command) - alone <= FOR_THE_PARSER
