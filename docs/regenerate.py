"""Make the pictures and the output blocks of the documents from a real run of the demo: ``python docs/regenerate.py``.

It needs Linux, the extra ``test``, and chromium for the picture of the report.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

DOCS = Path(__file__).parent
TOUR = DOCS / "tutorial" / "tour.md"
TERMINAL_SVG = DOCS / "images" / "terminal.svg"
REPORT_PNG = DOCS / "images" / "report.png"

#: Where the sandbox of the documents lies.
SANDBOX = Path("/tmp/sandbox")  # noqa: S108

COLUMNS, ROWS = 84, 40

#: The command of the picture; everything in the sandbox is only seconds old.
PICTURED = "conda prune --min-age 0"


def at_a_terminal(command: list[str], answer: bytes) -> str:
    """Run a command at a terminal, answer its question, and return what it wrote, colours included."""
    import pty

    process, master = pty.fork()
    if process == 0:
        variables = {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color"}
        os.execvpe(command[0], command, {**os.environ, **variables})  # noqa: S606
    written = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # The other end is closed.
            break
        if not part:
            break
        written += part
        if answer and b"[y/N] " in written:
            os.write(master, answer)
            answer = b""
    os.close(master)
    os.waitpid(process, 0)
    # Progress is overwritten in place.
    lines = written.decode().replace("\r\n", "\n").split("\n")
    return "\n".join(re.sub(r"\x1b\[\d*K", "", line.rsplit("\r", 1)[-1]) for line in lines)


def terminal_svg(sandbox: Path) -> str:
    """Return a picture of a prune in a sandbox, which it changes."""
    written = at_a_terminal([str(sandbox / "shell"), *PICTURED.split()], b"y\n")
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text("$ ", style="bold green") + Text(PICTURED, style="bold"))
    console.print(Text.from_ansi(written.rstrip("\n")), soft_wrap=True)
    svg = console.export_svg(title="conda prune", theme=MONOKAI, unique_id="conda-prune")
    # Pictures in documents can't load fonts.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def texts_of(svg: str) -> list[str]:
    """Return what stands in a picture, line by line, without sizes, times and ids."""
    return [shape(line) for line in re.findall(r"<text [^>]*>(.*?)</text>", svg, re.DOTALL)]


def shape(text: str) -> str:
    """Return a line without what differs from one file system, path or moment to the next."""
    text = text.replace("&#160;", " ")
    text = re.sub(r"/\S*/(conda-prune-demo-\w+|sandbox)(?=\W|$)", "SANDBOX", text)
    text = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]+", "RUN", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", text)
    text = re.sub(r"\d[\d,.]* (bytes|[KMGT]iB|B)(?=\W|$)", "SIZE", text)
    text = re.sub(r"\d+ (?=files in)", "N ", text)
    text = re.sub(r"\d+(\.\d+)? ?%", "PERCENT", text)
    text = re.sub(r"(< 1 minute|&lt; 1 minute|\d+ \w+) ago", "AGO", text)
    # How long a bar is depends on the sizes, and where the file system is mounted on the machine.
    text = re.sub(r"(?<= )[█░]{2,}|Free on .*", "", text)
    return re.sub(r"\s+", " ", text).strip()


def photograph(report: Path, picture: Path) -> None:
    """Write a picture of a report as chromium shows it."""
    with_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    size = ["--window-size=1000,760", "--hide-scrollbars", "--force-device-scale-factor=1"]
    command = ["chromium", "--headless", *with_root, *size, f"--screenshot={picture}", report.as_uri()]
    subprocess.run(command, check=True, capture_output=True)


def block(document: str, name: str) -> str:
    """Return a document's output block of a name. Raises `ValueError` if there is none."""
    return _block(document, name)[1]


def with_block(document: str, name: str, text: str) -> str:
    """Return a document with another text in its output block of a name. Raises `ValueError` if there is none."""
    start, end = _block(document, name).span(1)
    return f"{document[:start]}{text.strip()}{document[end:]}"


def _block(document: str, name: str) -> re.Match[str]:
    found = re.search(rf"<!-- output: {name} -->\n```\w+\n(.*?)\n```", document, re.DOTALL)
    if not found:
        raise ValueError(f"no output block {name}")
    return found


def demo(*arguments: str) -> str:
    """Run the demo and return what it printed."""
    command = [sys.executable, "-m", "conda_prune_plugin.embedded", "prune", "demo", *arguments]
    variables = {**os.environ, "TMPDIR": "/tmp", "COLUMNS": "120"}  # noqa: S108
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout


def commands_in(sandbox: Path, shown: str) -> str:
    """Run again the commands that a block shows, and return the block as it is now."""
    printed = []
    for command in re.findall(r"^\$ (conda .*)$", shown, re.MULTILINE):
        script = [str(sandbox / "shell"), "sh", "-c", command]
        done = subprocess.run(script, env={**os.environ, "COLUMNS": "120"}, capture_output=True, text=True, check=True)
        printed.append(f"$ {command}\n{done.stdout}")
    return "\n".join(printed)


def main() -> None:
    """Make everything."""
    tour = TOUR.read_text()
    tour = with_block(tour, "demo", demo())
    for name in ("commands", "picture"):
        shutil.rmtree(SANDBOX, ignore_errors=True)
        demo("--keep", str(SANDBOX))
        if name == "commands":
            tour = with_block(tour, name, commands_in(SANDBOX, block(tour, name)))
            continue
        report = SANDBOX / "report.html"
        shell = [str(SANDBOX / "shell"), "conda", "prune", "usage", "--min-age", "0", "--html", str(report)]
        subprocess.run(shell, check=True, capture_output=True)
        photograph(report, REPORT_PNG)
        TERMINAL_SVG.write_text(terminal_svg(SANDBOX))
    shutil.rmtree(SANDBOX)
    TOUR.write_text(tour)


if __name__ == "__main__":
    main()
