"""The HTML report, in a real browser without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import Machine
from tiny import Tiny

from conda_prune_plugin.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

#: What a page that does not escape what it shows would run.
HOSTILE = "</script><script>document.title='taken'<b onmouseover=x>&amp;"


@pytest.fixture
def machine_with_names(empty: Machine) -> Machine:
    """A machine with a package of two versions, one that nothing uses, and an environment with a hostile name."""
    tiny = Tiny.__new__(Tiny)
    tiny.cache, tiny.envs = empty.cache, empty.envs
    for dist in ("both-1-0", "both-2-0", "unused-1-0"):
        tiny.add(dist, archive=True)
    tiny.use("one", "both-1-0")
    tiny.use(HOSTILE.replace("/", "-"), "both-2-0")
    (tiny.envs / "one" / "notes").write_bytes(b"n" * 9_000)
    return empty


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


def test_without_plotly_it_says_what_to_install(machine_with_names: Machine, tmp_path: Path) -> None:
    script = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'plotly' else find(name, *more)\n"
        "from conda_prune_plugin.embedded import main\n"
        f"sys.exit(main(['prune', 'usage', '--html', {str(tmp_path / 'r.html')!r}]))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        env=machine_with_names.environ(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "plotly" in done.stderr
    assert "install" in done.stderr
    assert not (tmp_path / "r.html").exists()


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
    from selenium.webdriver.support.ui import WebDriverWait

    _log(browser, "performance")
    browser.get(path.as_uri())
    WebDriverWait(browser, 30).until(lambda page: page.find_elements("css selector", "#bars .bars path"))


def _log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return found


def _requested(browser: Chrome) -> list[str]:
    """Return what was asked for, but by the page that the browser begins with, which may load all the while."""
    messages = [json.loads(item["message"])["message"] for item in _log(browser, "performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [one["request"]["url"] for one in sent if not one["documentURL"].startswith("chrome")]


def _labels(browser: Chrome) -> list[str]:
    texts = browser.execute_script(
        "return [...document.querySelectorAll('#treemap .slicetext')].map(item => item.textContent)"
    )
    return [str(text) for text in texts]


@pytest.mark.debian
@pytest.mark.slow
def test_the_page_shows_the_numbers_zooms_and_asks_for_nothing(
    machine_with_names: Machine, browser: Chrome, tmp_path: Path
) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    document = _report(machine_with_names, tmp_path / "report.html")
    _open(browser, tmp_path / "report.html")

    assert _log(browser, "browser") == []
    assert _requested(browser) == [(tmp_path / "report.html").as_uri()]
    assert browser.title == "conda prune: where the disk goes"
    assert format_size(document["totals"]["allocated"]) in browser.find_element("id", "summary").text
    rows = browser.execute_script(
        "return [...document.querySelectorAll('#environments tbody tr')].map(row => [row.cells[0].textContent, "
        "...[...row.querySelectorAll('.number')].map(cell => Number(cell.dataset.value))])"
    )
    assert {row[0]: row[4:] for row in rows} == {
        item["name"]: [item["own"], item["shared"]] for item in document["environments"]
    }
    values = browser.execute_script(
        "const t = data.treemap; return t.ids.map((id, n) => [t.parents[n], t.labels[n], t.values[n]])"
    )
    assert values[0][2] == document["totals"]["allocated"] == sum(row[2] for row in values if row[0] == "everything")
    assert any(HOSTILE.replace("/", "-") in label for label in _labels(browser))

    cache = next(item for item in browser.find_elements("css selector", "#treemap .slice") if "cache" in item.text)
    before = _labels(browser)
    browser.execute_script(
        "arguments[0].querySelector('path').dispatchEvent(new MouseEvent('click', {bubbles: true}))", cache
    )
    WebDriverWait(browser, 10).until(lambda page: _labels(page) != before)
    WebDriverWait(browser, 10).until(lambda page: not any(label == "one" for label in _labels(page)))
    assert any("unused" in label for label in _labels(browser))


@pytest.mark.debian
@pytest.mark.slow
def test_a_click_on_a_heading_sorts_and_dark_is_dark(
    machine_with_names: Machine, browser: Chrome, tmp_path: Path
) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    _report(machine_with_names, tmp_path / "report.html")
    _open(browser, tmp_path / "report.html")

    def sizes() -> list[int]:
        return [
            int(cell.get_attribute("data-value") or 0)
            for cell in browser.find_elements("css selector", "#entries .number[data-value]")
        ]

    button = browser.find_elements("css selector", "#entries th button")[1]
    button.click()
    assert sizes() == sorted(sizes(), reverse=True)
    button.click()
    assert sizes() == sorted(sizes())
    assert len(sizes()) == 3

    def paper() -> str:
        return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))

    light = paper()
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    assert paper() != light
    for width in (360, 1600):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        WebDriverWait(browser, 10).until(
            lambda page: page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        )
    assert _log(browser, "browser") == []
