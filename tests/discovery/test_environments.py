"""Discovery: every environment is found and protects what it names; what is odd is kept and said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import unquote

import pytest
from conda.common.url import mask_anaconda_token, remove_auth
from hypothesis import given
from hypothesis.strategies import from_regex
from machine import allocated
from tiny import Tiny

from conda_prune_plugin.core.model import LastUsedFrom, ReasonKind, RootState
from conda_prune_plugin.core.notices import MISSING
from conda_prune_plugin.core.plan import Plan
from conda_prune_plugin.core.rules.policy import Policy
from conda_prune_plugin.demo.demo_packages import File, Package, build_package
from conda_prune_plugin.discovery.clients.installations import usual_installations
from conda_prune_plugin.discovery.packages import package_urls
from conda_prune_plugin.discovery.packages.cache_listing import find_caches
from conda_prune_plugin.discovery.packages.inspection import Memory
from conda_prune_plugin.discovery.packages.removal_evidence import redundant_archives
from conda_prune_plugin.discovery.roots.environment_search import search_environments
from conda_prune_plugin.discovery.roots.environments import Sources, read_roots, require_environments
from conda_prune_plugin.discovery.roots.environments_txt import registered_prefixes
from conda_prune_plugin.discovery.system.safe_read import LARGEST
from conda_prune_plugin.errors import NoSuchDirectoryError, NotACacheError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path / "it")


def _kept(plan: Plan) -> dict[str, list[ReasonKind]]:
    return {decision.entry.dist: [reason.kind for reason in decision.reasons] for decision in plan.keep}


def _removed(plan: Plan) -> set[str]:
    return {decision.entry.dist for decision in plan.remove}


def test_the_registry_gives_paths_with_spaces_odd_bytes_and_newlines(tmp_path: Path) -> None:
    odd = [
        tmp_path / "with space",
        tmp_path / "a blank behind ",
        tmp_path / "new\n\nline and a blank ",
        tmp_path / os.fsdecode(b"odd\xff"),
        tmp_path / "new\nline\nagain",
        tmp_path / "p%cent",
    ]
    for prefix in odd:
        (prefix / "conda-meta").mkdir(parents=True)
    registry = tmp_path / "environments.txt"
    registry.write_bytes(
        b"# comment\n\n" + b"".join(os.fsencode(prefix) + b"\r\n"[1:] for prefix in odd) + b"/gone/env\n/gone/too\n"
    )

    assert registered_prefixes(str(registry)) == (*map(str, odd), "/gone/env", "/gone/too")


def test_a_blank_that_somebody_has_typed_behind_a_path_hides_no_environment(tmp_path: Path) -> None:
    for name in ("e", "f", "f "):
        (tmp_path / name / "conda-meta").mkdir(parents=True)
    registry = tmp_path / "environments.txt"
    registry.write_text(f"  {tmp_path}/e \n{tmp_path}/f ")

    assert registered_prefixes(str(registry)) == (f"{tmp_path}/e", f"{tmp_path}/f", f"{tmp_path}/f ")


def test_a_registry_takes_no_step_for_each_of_its_empty_lines(tmp_path: Path) -> None:
    registry = tmp_path / "environments.txt"
    registry.write_bytes(b"\n" * 100_000 + b"/gone/env\n")
    steps = []
    sys.setprofile(lambda frame, event, value: steps.append(event))
    try:
        found = registered_prefixes(str(registry))
    finally:
        sys.setprofile(None)

    assert found == ("/gone/env",)
    assert len(steps) < 1_000


def test_no_registry_and_an_empty_one_list_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert registered_prefixes(str(tmp_path / "empty")) == registered_prefixes(str(tmp_path / "none")) == ()


def test_a_registry_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "environments.txt").mkdir()

    roots, notices = read_roots(Sources(registries=(str(tmp_path / "environments.txt"),)))

    assert roots == ()
    assert notices[0].kind == "unreadable-registry"


@pytest.mark.posix
def test_why_a_registry_is_not_read_is_said_though_the_system_has_no_word_for_it(tmp_path: Path) -> None:
    pipe, sparse = tmp_path / "pipe", tmp_path / "sparse"
    os.mkfifo(pipe)
    sparse.touch()
    os.truncate(sparse, LARGEST + 1)

    _, notices = read_roots(Sources(registries=(str(pipe), str(sparse))))

    assert f"{pipe} can't be read: it is not a regular file." in notices[0].message
    assert f"{sparse} can't be read: it is too large to be metadata." in notices[1].message


def test_an_environment_is_one_root_however_often_it_is_named(tmp_path: Path) -> None:
    prefix = tmp_path / "envs" / "e"
    (prefix / "conda-meta").mkdir(parents=True)
    (tmp_path / "link").symlink_to(prefix)
    provenance = Sources(
        named=(str(prefix), str(tmp_path / "link")), envs_dirs=(str(tmp_path / "envs"),), prefixes=(str(prefix),)
    )

    roots, _ = read_roots(provenance)

    assert [(root.path, root.name) for root in roots] == [(str(prefix), "e")]


def test_an_environment_without_history_or_behind_a_link_protects_all_the_same(tiny: Tiny, tmp_path: Path) -> None:
    tiny.add("a-1-0")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "conda-meta").mkdir(parents=True)
    tiny.record(elsewhere, "a-1-0")
    (tiny.envs / "linked").symlink_to(elsewhere)

    assert _kept(tiny.plan()) == {"a-1-0": [ReasonKind.ENVIRONMENT]}


@pytest.mark.parametrize("content", [b"", b"{", b"not json", b"\xff\xfe", b"[]", b"null", b"[" * 200, b'{"name": "a"}'])
def test_a_broken_record_protects_what_its_name_says_and_is_reported(tiny: Tiny, content: bytes) -> None:
    tiny.add("a-1-0")
    tiny.use("e", "a-1-0", link=False)
    record = tiny.envs / "e" / "conda-meta" / "a-1-0.json"
    record.write_bytes(content)

    plan = tiny.plan()

    assert _kept(plan) == {"a-1-0": [ReasonKind.ENVIRONMENT]}
    assert plan.inventory.roots[0].state is RootState.CORRUPT
    assert plan.inventory.notices[0].path == str(record)
    assert plan.inventory.notices[0].kind == "corrupt-record"


def test_a_record_with_the_name_of_another_dist_protects_what_its_content_says(tiny: Tiny) -> None:
    tiny.add("a-1-0")
    tiny.use("e", "a-1-0", link=False)
    meta = tiny.envs / "e" / "conda-meta"
    (meta / "a-1-0.json").rename(meta / "a-1-0_copy.json")

    inventory = tiny.inventory()

    assert "a-1-0" in inventory.roots[0].dists


def test_a_conda_meta_on_a_disk_that_is_not_mounted_is_unreadable_and_hides_what_it_should_list(tiny: Tiny) -> None:
    meta = tiny.envs / "e" / "conda-meta"
    meta.parent.mkdir()
    meta.symlink_to("/unmounted")

    assert require_environments((str(meta.parent),))
    (root,), (notice,) = read_roots(Sources(envs_dirs=(str(tiny.envs),)))
    assert root.state is RootState.UNREADABLE
    assert notice.hides_roots


def test_what_cannot_be_listed_may_hide_roots(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)

    _, notices = read_roots(Sources(envs_dirs=(str(loop),), registries=(str(loop),), other_registries=(f"{loop}/x",)))

    # Of everybody else's homes, which root looks into, some are not readable on every cluster.
    assert [notice.hides_roots for notice in notices] == [True, True, False]


def test_a_home_that_is_no_directory_has_no_registry() -> None:
    assert read_roots(Sources(registries=("/dev/null/.conda/environments.txt",))) == ((), ())


def test_a_link_to_an_environment_on_a_disk_that_is_not_mounted_is_a_missing_environment(tiny: Tiny) -> None:
    (tiny.envs / "away").symlink_to("/not/mounted")
    (tiny.envs / "plain directory").mkdir()

    (root,), (notice,) = read_roots(Sources(envs_dirs=(str(tiny.envs),)))

    assert (root.path, root.state) == (str(tiny.envs / "away"), RootState.MISSING)
    assert notice.kind == MISSING


def test_the_home_is_expanded_before_a_cache_is_looked_at(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tiny.cache.parent))
    (tmp_path / "~").mkdir()
    monkeypatch.chdir(tmp_path)

    assert [cache.path for cache in find_caches((), ("~/pkgs",))[0]] == [str(tiny.cache)]
    assert [cache.path for cache in find_caches((), ("~",))[0]] == [str(tiny.cache.parent)]


def test_an_environment_that_appears_is_seen_when_it_gets_its_records(tiny: Tiny) -> None:
    tiny.add("a-1-0")
    watch = tiny.watch()
    assert "a-1-0" not in watch.references()
    (tiny.envs / "new").mkdir()
    assert "a-1-0" not in watch.references()
    tiny.use("new", "a-1-0", link=False)

    assert "a-1-0" in watch.references()


def test_a_record_with_a_strange_name_protects_what_its_content_says(tiny: Tiny) -> None:
    tiny.add("a-1-0")
    tiny.use("e", "a-1-0", link=False)
    meta = tiny.envs / "e" / "conda-meta"
    (meta / "a-1-0.json").rename(meta / "copied by hand.json")

    assert _kept(tiny.plan()) == {"a-1-0": [ReasonKind.ENVIRONMENT]}


@pytest.mark.posix
@pytest.mark.parametrize("kind", ["pipe", "dangling link", "directory"])
def test_a_record_that_is_no_file_protects_what_its_name_says(tiny: Tiny, kind: str) -> None:
    for dist in ("a-1-0", "b-1-0", "c-1-0"):
        tiny.add(dist)
        tiny.use("e", dist, link=False)
    record = tiny.envs / "e" / "conda-meta" / "b-1-0.json"
    record.unlink()
    {"pipe": os.mkfifo, "dangling link": lambda path: path.symlink_to("nowhere"), "directory": os.mkdir}[kind](record)

    plan = tiny.plan()

    assert _kept(plan).keys() == {"a-1-0", "b-1-0", "c-1-0"}
    if kind != "directory":
        assert plan.inventory.roots[0].state is RootState.CORRUPT


def test_a_registry_of_garbage_lists_nothing(tmp_path: Path) -> None:
    (tmp_path / "environments.txt").write_bytes(b"relative/path\n/with\0nul\n\xff\xfe\x00\n")

    assert read_roots(Sources(registries=(str(tmp_path / "environments.txt"),))) == ((), ())


def test_a_registered_environment_that_is_gone_is_missing_and_told(tmp_path: Path) -> None:
    registry = tmp_path / "environments.txt"
    registry.write_text(f"{tmp_path}/gone\n")

    roots, notices = read_roots(Sources(registries=(str(registry),)))

    assert roots[0].state is RootState.MISSING
    assert [(notice.kind, notice.hides_roots) for notice in notices] == [(MISSING, True)]


def test_an_environment_that_cannot_be_read_is_unreadable_and_not_empty(tmp_path: Path) -> None:
    prefix = tmp_path / "e"
    prefix.mkdir()
    (prefix / "conda-meta").symlink_to(prefix / "conda-meta")

    roots, notices = read_roots(Sources(prefixes=(str(prefix),)))

    assert roots[0].state is RootState.UNREADABLE
    assert "soft-links" in notices[0].message
    assert notices[0].hides_roots


def test_a_search_finds_environments_at_any_depth_and_leaves_caches_out(tmp_path: Path) -> None:
    for name in ("a/conda-meta", "a/envs/b/conda-meta", "c/d/.pixi/envs/e/conda-meta", "pkgs/x-1-0/conda-meta"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "unmounted").mkdir()
    (tmp_path / "unmounted" / "conda-meta").symlink_to("/not/mounted")
    (tmp_path / "c" / "f" / ".pixi").mkdir(parents=True)
    (tmp_path / "c" / "f" / ".pixi" / "envs").symlink_to("/not/mounted")

    found, notices = search_environments(str(tmp_path), frozenset({str(tmp_path / "pkgs")}), lambda seen: None)

    assert {os.path.relpath(path, tmp_path) for path in found} == {
        "a",
        "a/envs/b",
        "c/d/.pixi/envs/e",
        "c/f/.pixi/envs",
        "unmounted",
    }
    assert notices == ()


def test_what_the_user_names_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "channel").mkdir()
    (tmp_path / "channel" / "repodata.json").touch()

    for path in (tmp_path / "none", tmp_path / "file", tmp_path):
        with pytest.raises(NoSuchDirectoryError, match="no environment at"):
            require_environments((str(path),))
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(NoSuchDirectoryError, match="no package cache at"):
            find_caches((), (str(path),))
    with pytest.raises(NoSuchDirectoryError, match="can't be searched"):
        search_environments(str(tmp_path / "none"), frozenset(), lambda seen: None)
    # In a channel the archives are the originals; they are not there to be cleaned.
    with pytest.raises(NotACacheError, match="channel"):
        find_caches((), (str(tmp_path / "channel"),))


@pytest.mark.parametrize("sign", [None, "urls.txt", "package-1-0/info/", "package-1-0.conda"])
def test_a_directory_of_environments_is_no_cache_without_a_sign_of_one(tmp_path: Path, sign: str | None) -> None:
    (tmp_path / "env" / "conda-meta").mkdir(parents=True)
    if sign is None:
        with pytest.raises(NotACacheError, match="environments"):
            find_caches((), (str(tmp_path),))
        return
    path = tmp_path / sign
    path.mkdir(parents=True) if sign.endswith("/") else path.touch()

    assert len(find_caches((), (str(tmp_path),))[0]) == 1


def test_a_cache_behind_a_link_and_named_twice_is_one_cache(tiny: Tiny, tmp_path: Path) -> None:
    tiny.add("a-1-0")
    link = tmp_path / "link"
    link.symlink_to(tiny.cache)

    caches, _ = find_caches((str(link), str(tiny.cache), str(tmp_path / "none")), ())

    assert [(cache.path, cache.real_path) for cache in caches] == [(str(link), str(tiny.cache))]


def test_what_is_no_package_is_no_entry(tiny: Tiny) -> None:
    for name in ("cache", ".trash", ".logs", "conda-forge", ".conda-prune", "a-1-0.c~", "b-1-0.conda_trash_7"):
        (tiny.cache / name).mkdir()
    for name in ("urls", "a-1-0.conda.partial", "pkgs.lock", "._a-1-0.conda", "notes.txt"):
        (tiny.cache / name).touch()

    plan = tiny.plan()

    assert _removed(plan) == set()
    assert _kept(plan) == {}


@pytest.mark.posix
def test_what_is_not_understood_is_kept_as_unknown(tiny: Tiny, tmp_path: Path) -> None:
    (tiny.cache / "half-1-0" / "info").mkdir(parents=True)
    (tiny.cache / "half-1-0.conda").write_bytes(b"archive")
    (tmp_path / "outside").mkdir()
    (tiny.cache / "link-1-0").symlink_to(tmp_path / "outside")
    (tiny.cache / "link-2-0.conda").symlink_to(tmp_path / "outside")
    os.mkfifo(tiny.cache / "pipe-1-0.conda")
    (tiny.cache / "strange.conda").write_bytes(b"archive")
    broken = tiny.add("broken-1-0")
    (broken / "info" / "index.json").write_text("{")
    nonsense = tiny.add("nonsense-1-0")
    (nonsense / "info" / "index.json").write_text('{"name": ["x"], "version": null, "build": {}}')
    pipe = tiny.add("piped-1-0")
    (pipe / "info" / "index.json").unlink()
    os.mkfifo(pipe / "info" / "index.json")
    nameless = tiny.add("nameless-1-0")
    (nameless / "info" / "repodata_record.json").write_text("[]")

    plan = tiny.plan()

    assert _removed(plan) == set()
    unknown = {
        "broken-1-0",
        "nonsense-1-0",
        "half-1-0",
        "link-1-0",
        "link-2-0",
        "nameless-1-0",
        "pipe-1-0",
        "piped-1-0",
        "strange",
    }
    assert _kept(plan) == {dist: [ReasonKind.UNKNOWN] for dist in unknown}


def test_an_archive_is_a_package_only_if_conda_fetched_it_or_it_can_be_read_as_one(tiny: Tiny) -> None:
    for name in ("my-photos-2024.tar.bz2", "my-notes-1.conda", "fetched-1-0.conda"):
        (tiny.cache / name).write_bytes(b"whatever")
    (tiny.cache / "urls.txt").write_text("https://host/noarch/fetched-1-0.conda\n")
    build_package(Package("half-true", "1"), tiny.cache, ".conda")
    (tiny.cache / "half-true-1-0.tar.bz2").write_bytes(b"whatever")
    for suffix in (".conda", ".tar.bz2"):
        build_package(Package("copied", "1", suffix[1:4]), tiny.cache, suffix)

    plan = tiny.plan(policy=Policy(min_age=0, include_irreplaceable=True))

    assert _removed(plan) == {"fetched-1-0", "copied-1-con", "copied-1-tar"}
    assert _kept(plan) == {dist: [ReasonKind.UNKNOWN] for dist in ("my-photos-2024", "my-notes-1", "half-true-1-0")}


def test_a_url_that_is_none_is_no_reason_to_stop(tiny: Tiny) -> None:
    tree = tiny.add("a-1-0")
    record = tree / "info" / "repodata_record.json"
    record.write_text(json.dumps({"name": "a", "version": "1", "build": "0", "url": "http://[bad"}))

    plan = tiny.plan(policy=Policy(min_age=0, include_irreplaceable=True))

    assert [(decision.entry.dist, decision.source) for decision in plan.remove] == [("a-1-0", None)]
    assert _kept(tiny.plan()) == {"a-1-0": [ReasonKind.IRREPLACEABLE]}


@pytest.fixture
def bind() -> Iterator[Callable[[Path, Path], None]]:
    """A function that makes a directory appear at a second place."""
    mounted: list[Path] = []

    def mount(what: Path, where: Path) -> None:
        done = subprocess.run(["mount", "--bind", str(what), str(where)], check=False, capture_output=True)  # noqa: S607
        if done.returncode:
            pytest.skip("mounting is not allowed here")
        mounted.append(where)

    yield mount
    for where in mounted:
        subprocess.run(["umount", "--lazy", str(where)], check=True)  # noqa: S607


def test_what_has_something_mounted_inside_is_kept(
    tiny: Tiny, tmp_path: Path, bind: Callable[[Path, Path], None]
) -> None:
    for dist in ("a-1-0", "b-1-0", "c-1-0"):
        tiny.add(dist)
    victim = tmp_path / "vic tim"
    victim.mkdir()
    (victim / "file").write_text("precious")
    (tiny.cache / "a-1-0" / "moun t").mkdir()
    bind(victim, tiny.cache / "a-1-0" / "moun t")
    bind(victim / "file", tiny.cache / "b-1-0" / "lib" / "one")
    plan = tiny.plan()
    assert _kept(plan) == {"a-1-0": [ReasonKind.READ_ONLY], "b-1-0": [ReasonKind.READ_ONLY]}

    # And what is mounted between the plan and its execution stays as well.
    bind(victim, tiny.cache / "c-1-0" / "lib")
    outcome = tiny.execute(plan).outcomes[0]

    assert "mounted" in str(outcome.error)
    assert (victim / "file").read_text() == "precious"
    assert {"a-1-0", "b-1-0", "c-1-0"} <= tiny.names()


def test_a_cache_that_is_mounted_twice_is_one_cache(
    tiny: Tiny, tmp_path: Path, bind: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "second").mkdir()
    bind(tiny.cache, tmp_path / "second")

    caches, _ = find_caches((str(tiny.cache), str(tmp_path / "second")), ())

    assert [cache.path for cache in caches] == [str(tiny.cache)]


def test_links_that_no_known_environment_explains_keep_an_entry(tiny: Tiny, tmp_path: Path) -> None:
    tree = tiny.add("a-1-0")
    tiny.add("b-1-0")
    os.link(tree / "lib" / "one", tmp_path / "somewhere")

    plan = tiny.plan()

    assert _kept(plan) == {"a-1-0": [ReasonKind.LINKED]}
    assert "--search" in plan.keep[0].reasons[0].detail
    assert _removed(plan) == {"b-1-0"}


def test_links_between_entries_explain_each_other(tiny: Tiny) -> None:
    one, kept = tiny.add("a-1-0"), tiny.add("b-1-0")
    tiny.use("e", "b-1-0", link=False)
    (one / "lib" / "one").unlink()
    os.link(kept / "lib" / "one", one / "lib" / "one")

    plan = tiny.plan()

    assert _removed(plan) == {"a-1-0"}
    # The inode lives on in the entry that stays.
    assert plan.remove[0].reclaimable == allocated(one) - (kept / "lib" / "one").stat().st_blocks * 512


def test_links_from_an_environment_inside_of_a_cache_are_explained_by_nothing(tiny: Tiny) -> None:
    tree = tiny.add("a-1-0")
    for name in ("odd place", "like-a-dist"):
        (tiny.cache / name / "conda-meta").mkdir(parents=True)
        os.link(tree / "lib" / "one", tiny.cache / name / "one")
        plan = tiny.plan()
        assert _kept(plan)["a-1-0"] == [ReasonKind.LINKED]
        (tiny.cache / name / "one").unlink()


def test_a_renamed_package_is_known_by_what_is_inside(tiny: Tiny) -> None:
    tiny.add("a-1-0").rename(tiny.cache / "downloaded by hand")
    prefix = tiny.envs / "e"
    (prefix / "conda-meta").mkdir(parents=True)
    tiny.record(prefix, "a-1-0")

    assert _kept(tiny.plan()) == {"downloaded by hand": [ReasonKind.ENVIRONMENT]}


def test_the_removal_of_an_environment_is_the_last_use(tiny: Tiny) -> None:
    tree = tiny.add("a-1-0")
    for path in (tree / "info" / "repodata_record.json", tree):
        os.utime(path, (0, 0))
    prefix = tiny.use("e", "a-1-0")
    time.sleep(0.02)
    before = time.time()
    (prefix / "lib" / "one").unlink()
    after = time.time()
    (prefix / "lib" / "two").unlink()
    (prefix / "conda-meta" / "a-1-0.json").unlink()

    (decision,) = tiny.plan().remove

    assert decision.last_used_from is LastUsedFrom.LINK
    assert decision.last_used is not None
    # The kernel stamps inodes with the time of its last tick.
    assert before - 0.02 <= decision.last_used <= after + 0.02


def test_without_files_to_link_the_extraction_is_the_last_use(tiny: Tiny) -> None:
    tree = tiny.add("a-1-0", {})
    (tree / "info" / "recipe").mkdir()
    (tree / "info" / "recipe" / "meta.yaml").touch()
    os.utime(tree / "info" / "repodata_record.json", (1000, 1000))

    (decision,) = tiny.plan().remove

    assert (decision.last_used, decision.last_used_from) == (1000, LastUsedFrom.EXTRACTION)


def test_urls_are_shown_without_their_secrets(tiny: Tiny) -> None:
    tree = tiny.add("a-1-0")
    record = tree / "info" / "repodata_record.json"
    url = "https://user:pass@host/t/tk-12345678-abcd/channel/linux-64/a-1-0.conda"
    record.write_text(json.dumps({**json.loads(record.read_text()), "url": url}))
    (tiny.cache / "b-1-0.conda").write_bytes(b"archive")
    (tiny.cache / "urls.txt").write_text(f"https://old/b-1-0.conda\n{url.replace('a-1-0', 'b-1-0')}\n")

    provenance = [decision.source for decision in tiny.plan().remove]

    assert provenance == [f"https://host/t/<TOKEN>/channel/linux-64/{dist}.conda" for dist in ("a-1-0", "b-1-0")]


def test_installations_in_the_usual_places_are_found_with_their_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("miniforge3/conda-meta", "micromamba/pkgs", "from_variable/envs", "from_exe/conda-meta", "empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "miniforge3" / ".condarc").write_text("pkgs_dirs: [~/big/pkgs]\nenvs_dirs:\n  - $HOME/big/envs\n")
    (tmp_path / "micromamba" / ".mambarc").write_text("pkgs_dirs: [")
    environ = {"MAMBA_ROOT_PREFIX": f"{tmp_path}/from_variable", "CONDA_EXE": f"{tmp_path}/from_exe/bin/conda"}

    found = {place.prefix: place for place in usual_installations(environ) if place.prefix.startswith(str(tmp_path))}

    assert found.keys() == {f"{tmp_path}/{name}" for name in ("miniforge3", "micromamba", "from_variable", "from_exe")}
    assert found[f"{tmp_path}/miniforge3"].pkgs_dirs == (f"{tmp_path}/miniforge3/pkgs", f"{tmp_path}/big/pkgs")
    assert found[f"{tmp_path}/miniforge3"].envs_dirs == (f"{tmp_path}/miniforge3/envs", f"{tmp_path}/big/envs")


def test_a_scan_opens_and_measures_nothing_of_what_is_in_use(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.add("used-1-0", {"lib/x": File(b"x")})
    tiny.add("unused-1-0")
    tiny.use("e", "used-1-0")
    opened: list[str] = []
    real_open, real_scandir, real_stat, real_lstat = open, os.scandir, os.stat, os.lstat

    def seen(do: object) -> object:
        def wrapped(path: object, *arguments: object, **options: object) -> object:
            opened.append(str(path))
            return do(path, *arguments, **options)  # type: ignore[operator]

        return wrapped

    for name, do in (("scandir", real_scandir), ("stat", real_stat), ("lstat", real_lstat)):
        monkeypatch.setattr(os, name, seen(do))
    monkeypatch.setattr("builtins.open", seen(real_open))
    plan = tiny.plan()
    monkeypatch.undo()

    assert _removed(plan) == {"unused-1-0"}
    assert any("unused-1-0" in path for path in opened)
    assert [path for path in opened if "/used-1-0" in path] == []


@given(from_regex(package_urls._PLAIN, fullmatch=True))
def test_a_url_taken_for_plain_is_what_conda_makes_of_it(url: str) -> None:
    assert mask_anaconda_token(remove_auth(url)) == url


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://host/linux-64/a-1-0.conda", "https://host/linux-64/a-1-0.conda"),
        ("https://me:secret@host/linux-64/a-1-0.conda", "https://host/linux-64/a-1-0.conda"),
        ("https://host/t/tk-123/linux-64/a-1-0.conda", "https://host/t/<TOKEN>/linux-64/a-1-0.conda"),
        ("https://host/conda/t/tk-123/linux-64/a-1-0.conda", "https://host/conda/t/<TOKEN>/linux-64/a-1-0.conda"),
        ("file:///srv/a-1-0.conda", "file:///srv/a-1-0.conda"),
        ("https://[host/a-1-0.conda", None),
        (None, None),
    ],
)
def test_no_login_and_no_token_of_a_url_is_shown(url: str | None, clean: str | None) -> None:
    assert package_urls.without_credentials(url) == clean


def test_a_file_url_may_name_this_host_and_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "chan nel"
    path.touch()
    elsewhere = "file://server/a%20share/x"

    def check() -> None:
        for url in (path.as_uri(), path.as_uri().replace("file://", "file://localhost")):
            assert package_urls.irreplaceable(url, ()) is None
        assert package_urls.irreplaceable(elsewhere, ()) == "its source //server/a share/x is missing"

    def as_from_python_3_14_on(url: str) -> str:
        if url.startswith("//"):
            raise URLError("file:// scheme is supported only on localhost")
        return unquote(url)

    check()
    monkeypatch.setattr(package_urls, "url2pathname", as_from_python_3_14_on)
    check()


def test_an_entry_whose_directory_is_removed_meanwhile_keeps_its_archive_and_stops_no_other(tiny: Tiny) -> None:
    for dist in ("a-1-0", "b-1-0"):
        tiny.add(dist, archive=True)
    inventory = tiny.inventory()
    entries = [entry for cache in inventory.caches for entry in cache.entries]
    shutil.rmtree(tiny.cache / "a-1-0")

    found = redundant_archives(inventory.caches, entries, Memory())

    assert [item.entry.dist for item in found] == ["b-1-0"]
