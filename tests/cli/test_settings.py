"""Settings in ``.condarc`` and the environment: conda's precedence, our types, wrong values named with their source."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from conda.base.context import context, reset_context
from tiny import Tiny

from conda_prune_plugin import settings
from conda_prune_plugin.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from machine import Machine

DAY = 86_400.0


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """A function that gives conda a ``.condarc`` with these lines under ``plugins:``, and no other."""
    for name in os.environ:
        if name.startswith("CONDA"):
            monkeypatch.delenv(name)

    def write(text: str) -> Path:
        path = tmp_path / ".condarc"
        path.write_text("plugins:\n" + "".join(f"  {line}\n" for line in text.splitlines()))
        reset_context((str(path),))
        return path

    yield write
    monkeypatch.undo()
    reset_context()


def test_without_any_setting_nothing_is_asked_for(configure: Callable[[str], Path]) -> None:
    configure("")

    assert [setting.value() for setting in settings.SETTINGS] == [(), None, 0, 0, False, None, (), "off", 1_000_000_000]


def test_settings_are_read_from_a_file_with_their_types(
    configure: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECTS", "/projects")
    configure(
        "prune_keep: [numpy, 'scipy >=1,<2']\nprune_older_than: 30d\nprune_keep_revisions: 2\nprune_keep_newest: 1\n"
        "prune_backup: yes\nprune_purge_after: 0\nprune_roots: [/a b/c, $PROJECTS/x]\n"
        "prune_auto: hint\nprune_auto_threshold: 2GiB"
    )

    values = [setting.value() for setting in settings.SETTINGS]

    assert values == [("numpy", "scipy >=1,<2"), 30 * DAY, 2, 1, True, 0.0, ("/a b/c", "/projects/x"), "hint", 2 << 30]


def test_the_environment_wins_over_the_file_and_adds_to_its_lists(
    configure: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_PLUGINS_PRUNE_OLDER_THAN", "8w")
    monkeypatch.setenv("CONDA_PLUGINS_PRUNE_KEEP", "a>=1,<2&b")
    monkeypatch.setenv("CONDA_PLUGINS_PRUNE_ROOTS", os.pathsep.join(("/a", "/b")))
    configure("prune_older_than: 30d\nprune_keep: [c]")

    assert settings.OLDER_THAN.value() == 56 * DAY
    assert settings.KEEP.value() == ("a>=1,<2", "b", "c")
    assert settings.ROOTS.value() == ("/a", "/b")


@pytest.mark.parametrize(
    ("setting", "text", "problem"),
    [
        (settings.KEEP, "numpy", "list"),
        (settings.KEEP, "[numpy, 'a>>1']", "'a>>1'"),
        (settings.KEEP, "[a, '']", "''"),
        (settings.KEEP, "[[a]]", "list"),
        (settings.KEEP, "{a: b}", "list"),
        (settings.OLDER_THAN, "soon", "'soon'"),
        (settings.OLDER_THAN, "30", "30d"),
        (settings.OLDER_THAN, "[30d]", "['30d']"),
        (settings.KEEP_NEWEST, "many", "'many'"),
        (settings.KEEP_NEWEST, "1.5", "whole number"),
        (settings.KEEP_NEWEST, "true", "whole number"),
        (settings.KEEP_NEWEST, "-1", "whole number"),
        (settings.KEEP_REVISIONS, "[1]", "whole number"),
        (settings.BACKUP, "maybe", "true or false"),
        (settings.PURGE_AFTER, "-3d", "'-3d'"),
        (settings.PURGE_AFTER, "{a: b}", "text"),
        (settings.ROOTS, "[relative]", "absolute"),
        (settings.ROOTS, "/one", "list"),
        (settings.AUTO, "sometimes", "off, hint or on"),
        (settings.AUTO, "1", "off, hint or on"),
        (settings.AUTO, "[hint]", "text"),
        (settings.AUTO, "", "off, hint or on"),
        (settings.AUTO_THRESHOLD, "much", "500MB"),
        (settings.AUTO_THRESHOLD, "10", "10MB"),
        (settings.AUTO_THRESHOLD, "-1GB", "'-1GB'"),
        (settings.AUTO_THRESHOLD, "{GB: 1}", "text"),
    ],
)
def test_a_wrong_value_is_named_with_its_file(
    configure: Callable[[str], Path], setting: settings.Setting[Any], text: str, problem: str
) -> None:
    path = configure(f"{setting.name}: {text}")

    with pytest.raises(SettingError) as caught:
        setting.value()

    assert setting.name in caught.value.message
    assert str(path) in caught.value.message
    assert problem in caught.value.message
    assert caught.value.path == str(path)
    assert caught.value.return_code == 2


def test_a_wrong_value_is_named_with_its_variable_though_a_file_has_a_right_one(
    configure: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_PLUGINS_PRUNE_KEEP_NEWEST", "many")
    monkeypatch.setenv("CONDA_PLUGINS_PRUNE_KEEP", "a&b>>1")
    configure("prune_keep_newest: 2\nprune_keep: [c]")

    for setting in (settings.KEEP_NEWEST, settings.KEEP):
        with pytest.raises(SettingError, match=f"CONDA_PLUGINS_{setting.name.upper()}"):
            setting.value()


def test_each_setting_has_a_wrong_value_in_these_tests() -> None:
    (cases,) = (mark.args[1] for mark in test_a_wrong_value_is_named_with_its_file.pytestmark)

    assert {case[0].name for case in cases} == {setting.name for setting in settings.SETTINGS}


@pytest.mark.parametrize(("text", "word"), [("on", "on"), ("true", "on"), ("false", "off"), ("Off", "off")])
def test_whether_yaml_takes_on_for_true_or_for_a_text_it_means_the_same(
    configure: Callable[[str], Path], text: str, word: str
) -> None:
    configure(f"prune_auto: {text}")

    assert settings.AUTO.value() == word


def test_a_wrong_setting_stops_no_other_command_of_conda(empty: Machine) -> None:
    (empty.directory / "condarc").write_text("plugins:\n  prune_keep_newest: many\n")

    assert empty.run("info").code == 0
    assert empty.run("env", "list").code == 0


def test_a_root_from_the_settings_protects_and_may_be_away(empty: Machine, tmp_path: Path) -> None:
    tiny = Tiny.__new__(Tiny)
    tiny.cache, tiny.envs = empty.cache, tmp_path / "elsewhere"
    tiny.add("used-1-0")
    tiny.add("unused-1-0")
    tiny.use("e", "used-1-0", link=False)
    roots = f"{tiny.envs}/e{os.pathsep}{tiny.envs}/away"

    document = empty.prune("--dry-run", "--json", CONDA_PLUGINS_PRUNE_ROOTS=roots).json

    assert [decision["dist"] for decision in document["remove"]] == ["unused-1-0"]
    assert {root["path"].rsplit("/", 1)[1]: root["state"] for root in document["roots"] if "else" in root["path"]} == {
        "e": "ok",
        "away": "missing",
    }


def test_a_wrong_setting_is_refused_before_anything_is_removed(empty: Machine, tmp_path: Path) -> None:
    answer = empty.prune("--yes", "--json", CONDA_PLUGINS_PRUNE_ROOTS="relative")

    assert answer.code == 2
    assert answer.json["exception_name"] == "SettingError"
    assert "CONDA_PLUGINS_PRUNE_ROOTS" in answer.json["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prune_keep", "[a>>1]"),
        ("prune_older_than", "soon"),
        ("prune_keep_revisions", "all"),
        ("prune_keep_newest", "1.5"),
        ("prune_backup", "perhaps"),
        ("prune_purge_after", "late"),
        ("prune_roots", "[here]"),
        ("prune_auto", "often"),
        ("prune_auto_threshold", "much"),
    ],
)
def test_a_condarc_with_any_setting_wrong_is_a_named_error_of_the_command(
    empty: Machine, name: str, value: str
) -> None:
    condarc = empty.directory / "condarc"
    condarc.write_text(f"plugins:\n  {name}: {value}\n")

    answer = empty.prune("--dry-run", "--json")

    assert answer.code == 2
    assert answer.json["exception_name"] == "SettingError"
    assert answer.json["path"] == str(condarc)
    assert f"{name} = " in answer.json["message"]
    assert name in answer.json["hint"]


@pytest.mark.parametrize("command", [("--dry-run",), ("restore",)])
@pytest.mark.parametrize("text", ["quiet: maybe", "envs_dirs: 3", "always_yes: maybe", "pkgs_dirs: {a: b}"])
def test_what_conda_finds_wrong_in_its_own_settings_is_an_error_in_our_form(
    empty: Machine, text: str, command: tuple[str, ...]
) -> None:
    (empty.directory / "condarc").write_text(text)
    free = dict.fromkeys(("CONDA_ENVS_DIRS", "CONDA_PKGS_DIRS"), "")

    document = empty.run("prune", *command, "--json", **free)
    told = empty.run("prune", *command, **free)

    assert (document.code, document.json["exception_name"]) == (1, "CondaRefusedError")
    assert (document.json["schema"], document.json["success"], document.json["warnings"]) == (1, False, [])
    assert (told.code, told.out) == (1, "")
    assert "error: conda failed: " in told.err
    assert "conda config --show-sources" in told.err


def test_conda_knows_the_settings(configure: Callable[[str], Path]) -> None:
    configure("prune_keep_newest: 3")

    assert settings.KEEP_NEWEST.value() == 3
    assert context.plugins.prune_keep_newest == "3"
    assert {setting.name for setting in settings.SETTINGS} <= set(context.plugins.parameter_names)


def test_nothing_in_a_list_of_specifications_is_refused(empty: Machine) -> None:
    (empty.home / ".condarc").write_text("plugins:\n  prune_keep: [null]\n")

    answer = empty.prune("--dry-run", "--json")

    assert answer.code == 2
    assert "prune_keep" in answer.json["message"]
    assert ".condarc" in answer.json["message"]
