"""The HTML report, in a real browser without a network."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import Machine
from tiny import Tiny

from conda_prune_plugin.core.units import format_size
from conda_prune_plugin.demo.demo_packages import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

#: What a page that does not escape what it shows would run.
HOSTILE = "</script><script>document.title='taken'<b onmouseover=x>&amp;"

#: Names of packages that would be markup, or a mark of a template.
NAMES = ("@PLOTLY@", "@DATA@", '"onload=x', "<b>&amp;", "<img src=x>", "'x", "<!--", "]]>", "{{7*7}}")


class _Page(HTMLParser):
    """What a page holds: its tags with their attributes, the rows of its tables, and texts by their ids.

    rows: of each table the texts of its cells, or the bytes where they are sizes. hidden: how many rows don't show.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.hidden: Counter[str] = Counter()
        self.texts: dict[str, str] = {}
        self.style = self.script = self._table = ""
        self._open: list[str | None] = []
        self._cell: str | None = None
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        self.tags.append((tag, of))
        if tag not in {"meta", "input"}:
            self._open.append(of.get("id"))
        if tag == "tbody":
            self._table = (of["id"] or "").removesuffix("-rows")
            self.rows[self._table] = []
        elif tag == "tr" and self._table:
            self.rows[self._table].append([])
            self.hidden[self._table] += "hidden" in of
        elif tag == "td" and self._table:
            self._cell = of.get("data-v")
            self.rows[self._table][-1].append(self._cell or "")

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"meta", "input"}:
            self._open.pop()
        if tag == "tbody":
            self._table = ""

    def handle_data(self, data: str) -> None:
        if self._open and (name := self._open[-1]):
            if name in {"style", "script"}:
                setattr(self, name, data)
            self.texts[name] = self.texts.get(name, "") + data
        elif self._table and self._cell is None and self.rows[self._table]:
            self.rows[self._table][-1][-1] += data


@pytest.fixture
def machine_with_names(empty: Machine) -> Machine:
    """A machine with a package of two versions, one that nothing uses, and an environment with a hostile name."""
    tiny = _tiny(empty)
    for dist in ("both-1-0", "both-2-0", "unused-1-0"):
        tiny.add(dist, archive=True)
    tiny.use("one", "both-1-0")
    tiny.use(HOSTILE.replace("/", "-"), "both-2-0")
    (tiny.envs / "one" / "notes").write_bytes(b"n" * 9_000)
    return empty


def _tiny(machine: Machine) -> Tiny:
    tiny = Tiny.__new__(Tiny)
    tiny.cache, tiny.envs = machine.cache, machine.envs
    return tiny


def _report(machine: Machine, path: Path) -> Any:
    answer = machine.run("prune", "usage", "--min-age", "0", "--html", path, "--json")
    assert answer.code == 0, answer.out
    return answer.json


@pytest.mark.parametrize("place", [".", "missing/report.html", "pkgs"])
def test_a_place_that_takes_no_report_is_refused(machine_with_names: Machine, place: str) -> None:
    answer = machine_with_names.run("prune", "usage", "--html", place, "--json")

    assert answer.code == 1
    assert answer.json["exception_name"] == "ReportError"


def test_an_earlier_report_is_replaced_whole(machine_with_names: Machine) -> None:
    path = machine_with_names.directory / "report.html"
    path.write_text("old")

    _report(machine_with_names, path)

    assert path.read_text().endswith("</html>\n")
    assert [item.name for item in machine_with_names.directory.iterdir() if "report" in item.name] == ["report.html"]


def test_names_show_as_they_are_and_never_become_markup(machine_with_names: Machine, tmp_path: Path) -> None:
    tiny = _tiny(machine_with_names)
    for name in NAMES:
        tiny.add(f"{name}-1-0")
    _report(machine_with_names, tmp_path / "report.html")

    page = _Page(tmp_path / "report.html")

    shown = [row[0] for row in page.rows["parts"]]
    assert {f"{name}-1-0" for name in NAMES} <= set(shown)
    assert HOSTILE.replace("/", "-") in {row[0] for row in page.rows["locations"]}
    assert Counter(tag for tag, _ in page.tags)["script"] == 1
    assert {"b", "img"}.isdisjoint(tag for tag, _ in page.tags)


def test_characters_that_would_change_the_order_of_others_are_escaped(
    machine_with_names: Machine, tmp_path: Path
) -> None:
    _tiny(machine_with_names).add("a\u202eb\x1b-1-0")
    _report(machine_with_names, tmp_path / "report.html")

    assert "a\\u202eb\\x1b-1-0" in {row[0] for row in _Page(tmp_path / "report.html").rows["parts"]}


def test_nothing_but_the_page_s_own_script_may_run_and_nothing_is_fetched(
    machine_with_names: Machine, tmp_path: Path
) -> None:
    _report(machine_with_names, tmp_path / "report.html")

    page = _Page(tmp_path / "report.html")

    policy = next(of["content"] or "" for tag, of in page.tags if "http-equiv" in of)
    hashes = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in (page.style, page.script)]
    assert [hashes[0], hashes[1]] == re.findall(r"'sha256-[^']+'", policy)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    names = {name for _, of in page.tags for name in of}
    assert not {name for name in names if name.startswith("on") or name in {"src", "style"}}
    assert all((of.get("href") or "#").startswith("#") for _, of in page.tags)
    assert "http" not in page.style + page.script


def test_the_parts_add_up_to_what_is_on_disk_and_the_figures_are_those_of_the_command(
    machine_with_names: Machine, tmp_path: Path
) -> None:
    totals = _report(machine_with_names, tmp_path / "report.html")["totals"]

    page = _Page(tmp_path / "report.html")

    assert sum(int(row[1]) for row in page.rows["parts"]) == totals["allocated"]
    in_use = sum(int(row[1]) for row in page.rows["parts"] if row[2] in {"in use", "only in an environment"})
    assert [page.texts[name] for name in ("on-disk", "in-use", "free")] == [
        format_size(size) for size in (totals["allocated"], in_use, totals["reclaimable"])
    ]
    assert {row[0]: row[2] for row in page.rows["parts"] if row[2] != "only in an environment"} == {
        "both-1-0": "in use",
        "both-2-0": "in use",
        "unused-1-0": "can be freed",
        "index caches, logs and the like": "other cache files",
    }


def test_the_command_frees_what_the_page_says(machine_with_names: Machine, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    _tiny(machine_with_names).add("more-1-0")
    free = "3 KB"

    assert machine_with_names.run("prune", "--free", free, "usage", "--min-age", "0", "--html", path).code == 0
    page = _Page(path)
    command = shlex.split(page.texts["command"])

    assert command[:2] == ["conda", "prune"]
    document = machine_with_names.run(*command[1:], "--dry-run", "--json").json
    assert page.texts["free"] == format_size(document["totals"]["reclaimable"])
    assert document["totals"]["remove"] == 1


@pytest.mark.slow
def test_1500_packages_make_a_page_below_500_kb_that_shows_50(empty: Machine, tmp_path: Path) -> None:
    tiny = _tiny(empty)
    for number in range(1500):
        tiny.add(f"package-with-a-name-{number}-2026.{number}.0-py312h{number:08x}_0", {"f": File(b"1")})
    _report(empty, tmp_path / "report.html")

    page = _Page(tmp_path / "report.html")

    assert os.path.getsize(tmp_path / "report.html") < 500_000
    assert len(page.rows["parts"]) == 1501
    assert page.hidden["parts"] == 1451
    assert page.texts["parts-count"] == "1,451 others"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Debian's chromium, with no network."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert binary, "chromium is missing: apt-get install chromium chromium-driver"
    assert driver, "chromium-driver is missing: apt-get install chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    home = tmp_path_factory.mktemp("browser")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1600"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={home / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver, env={**os.environ, "HOME": str(home)}))
    yield chrome
    chrome.quit()


def _open(browser: Chrome, path: Path) -> None:
    _log(browser, "performance")
    browser.get(path.as_uri())


def _log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return found


def _requested(browser: Chrome) -> list[str]:
    """Return what was asked for, but by the page that the browser begins with, which may load all the while."""
    messages = [json.loads(item["message"])["message"] for item in _log(browser, "performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [one["request"]["url"] for one in sent if not one["documentURL"].startswith("chrome")]


def _shown(browser: Chrome) -> list[str]:
    return [
        str(name)
        for name in browser.execute_script(
            "return [...document.querySelectorAll('#parts tbody tr')].filter(row => !row.hidden)"
            ".map(row => row.cells[0].textContent)"
        )
    ]


@pytest.mark.debian
@pytest.mark.slow
def test_a_browser_runs_it_alone_and_the_keyboard_leads_from_a_rectangle_to_its_row(
    machine_with_names: Machine, browser: Chrome, tmp_path: Path
) -> None:
    _report(machine_with_names, tmp_path / "report.html")
    _open(browser, tmp_path / "report.html")

    assert _log(browser, "browser") == []
    assert _requested(browser) == [(tmp_path / "report.html").as_uri()]
    assert browser.title == "conda prune: disk usage"
    tile = next(
        link
        for link in browser.find_elements("css selector", ".wide a.free")
        if "unused-1-0" in (link.get_attribute("aria-label") or "")
    )
    browser.execute_script("arguments[0].focus()", tile)
    browser.switch_to.active_element.send_keys("\n")
    row = browser.execute_async_script(
        "const done = arguments[0]; setTimeout(() => done(document.activeElement.cells[0].textContent), 100)"
    )
    assert row == "unused-1-0"


@pytest.mark.debian
@pytest.mark.slow
def test_the_filter_finds_all_rows_and_sums_them_up(
    machine_with_names: Machine, browser: Chrome, tmp_path: Path
) -> None:
    tiny = _tiny(machine_with_names)
    for number in range(60):
        tiny.add(f"small{number:02}-1-0")
    _report(machine_with_names, tmp_path / "report.html")
    _open(browser, tmp_path / "report.html")
    everything = len(_Page(tmp_path / "report.html").rows["parts"])

    assert len(_shown(browser)) == 50
    assert browser.find_element("id", "parts-count").text == f"{everything - 50} others"
    box = browser.find_element("id", "filter")
    box.send_keys("FREED small0")
    assert sorted(_shown(browser)) == [f"small0{number}-1-0" for number in range(10)]
    assert browser.find_element("id", "filtered").text.startswith(f"10 of {everything}, ")
    assert not browser.find_element("id", "parts-others").is_displayed()
    for _ in "FREED small0":
        box.send_keys("\b")
    browser.find_element("css selector", "#parts-others button").click()
    assert len(_shown(browser)) == everything


@pytest.mark.debian
@pytest.mark.slow
def test_headings_sort_dark_is_dark_and_no_colour_stands_alone(
    machine_with_names: Machine, browser: Chrome, tmp_path: Path
) -> None:
    _report(machine_with_names, tmp_path / "report.html")
    _open(browser, tmp_path / "report.html")

    def sizes() -> list[int]:
        cells = browser.find_elements("css selector", "#parts tbody [data-v]")
        return [int(cell.get_attribute("data-v") or 0) for cell in cells]

    assert sizes() == sorted(sizes(), reverse=True)
    browser.find_elements("css selector", "#parts th button")[1].click()
    assert sizes() == sorted(sizes())

    def looks() -> dict[str, str]:
        return {
            style: str(
                browser.execute_script(
                    f"return getComputedStyle(document.querySelector('.treemap .{style} rect')).fill"
                )
            )
            for style in ("used", "own", "free", "other")
        }

    def paper() -> str:
        return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))

    light = paper(), looks()["used"]
    patterns = [look for style, look in looks().items() if style != "used"]
    assert all(look.startswith("url(") for look in patterns)
    assert len(set(patterns)) == len(patterns)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    dark = paper(), looks()["used"]
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    for width in (360, 1600):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert _log(browser, "browser") == []
