"""Export an environment: everything that is needed to rebuild it, as the content of files. Nothing is written here.

conda's own export is not used: before 25.5 it deletes records of pip's packages while it reads an environment
(`PrefixData` with interoperability). A test compares the two.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from ... import failures
from ...core.layout import META
from ...core.model import Root
from ...failures import suppress
from ..clients.conda_context import channel_name, configured_channels, in_link_order, masked, platform
from ..system.safe_read import read_object, read_regular
from ..usage.pip_packages import PythonPackage, python_packages

#: The names of the files.
YAML, EXPLICIT, PIP, PIP_DETAILS = "environment.yml", "explicit.txt", "requirements.txt", "pip.json"
VARIABLES, PINNED, FROZEN, HISTORY = "state", "pinned", "frozen", "history"


@dataclass(frozen=True, slots=True)
class Export:
    """The files to rebuild an environment from, by name, and the packages that they can't bring back.

    python: pip's packages. sourceless, unreadable: dists of conda whose record has no url, or can't be read.
    """

    root: Root
    files: Mapping[str, bytes]
    python: tuple[PythonPackage, ...]
    sourceless: tuple[str, ...]
    unreadable: tuple[str, ...]


def export(root: Root) -> Export:
    """Return the export of an environment, without files that can't be read."""
    records, unreadable = _records(root)
    python = python_packages(root.path, frozenset(name for record in records for name in record["files"]))
    files = {
        YAML: _yaml(root, records, python),
        EXPLICIT: _explicit(records),
        PIP: _requirements(python),
        PIP_DETAILS: json.dumps([asdict(package) for package in python], indent=2).encode(),
    }
    for name in (VARIABLES, PINNED, FROZEN, HISTORY):
        with suppress(OSError):
            files[name] = read_regular(os.path.join(root.path, META, name))
    return Export(root, files, python, tuple(_dist(record) for record in records if record["url"] is None), unreadable)


def _records(root: Root) -> tuple[Sequence[Mapping[str, Any]], tuple[str, ...]]:
    """Return an environment's records, each after those it depends on, and the dists whose record can't be read."""
    records: dict[str, Mapping[str, Any]] = {}
    unreadable = []
    for dist in sorted(root.packages):
        path = os.path.join(root.path, META, f"{dist}.json")
        # A dist that only the content of another record claims is no package for conda.
        if failures.lexists(path):
            try:
                record = read_object(path)
            except (OSError, ValueError) as error:
                failures.note(error)
                unreadable.append(dist)
                continue
            if _dist(record) == dist:
                files = record.get("files")
                names = [name for name in files if isinstance(name, str)] if isinstance(files, list) else []
                fields = {key: record.get(key) if _fits(key, record.get(key)) else None for key in _FIELDS}
                records[dist] = {**record, **fields, "files": names}
    try:
        ordered = [records["-".join(parts)] for parts in in_link_order(records.values())]
    except Exception:  # noqa: BLE001
        # conda's models and MatchSpec raise anything on odd records; conda sorts again when it installs.
        ordered = list(records.values())
    return ordered, tuple(unreadable)


#: The values that conda writes into fields of a record; any other counts as missing. A url is one word on a line of an
#: ``@EXPLICIT`` file.
_FIELDS = {"url": r"[A-Za-z][A-Za-z0-9+.-]*:\S*", "channel": ".+", "md5": "[0-9A-Za-z]+", "sha256": "[0-9A-Za-z]+"}


def _fits(field: str, value: object) -> bool:
    with suppress(ValueError):
        return (
            isinstance(value, str)
            and value.isprintable()
            and re.fullmatch(_FIELDS[field], value) is not None
            and urlsplit(value) is not None
        )
    return False


def _dist(record: Mapping[str, Any]) -> str:
    return "-".join(str(record.get(key)) for key in ("name", "version", "build"))


def _yaml(root: Root, records: Iterable[Mapping[str, Any]], python: Iterable[PythonPackage]) -> bytes:
    """Return the output of ``conda env export`` (`conda.env.env.from_environment` of 24.7)."""
    import ruamel.yaml

    by_name = sorted(records, key=lambda record: str(record["name"]))
    dependencies: list[Any] = ["=".join(str(record[key]) for key in ("name", "version", "build")) for record in by_name]
    if pip := [f"{package.name.lower()}=={package.version}" for package in python if package.version]:
        dependencies.append({"pip": pip})
    channels = list(configured_channels())
    for record in by_name:
        # A channel that conda can't make sense of is none that it could install from.
        with suppress(Exception):
            channel = channel_name(masked(record["channel"] or record["url"] or ""))
            if channel not in channels:
                channels.insert(0, channel)
    document: dict[str, Any] = {"name": root.name or root.path, "channels": channels, "dependencies": dependencies}
    with suppress(OSError, ValueError):
        # Those of ``conda env config vars``.
        variables = read_object(os.path.join(root.path, META, VARIABLES)).get("env_vars")
        if isinstance(variables, dict) and variables:
            document["variables"] = {str(name): str(value) for name, value in variables.items()}
    document["prefix"] = root.path
    stream = io.StringIO()
    writer = ruamel.yaml.YAML()
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.width = 4096
    writer.dump(document, stream)
    return stream.getvalue().encode("utf-8", "surrogateescape")


def _explicit(records: Iterable[Mapping[str, Any]]) -> bytes:
    """Return an ``@EXPLICIT`` file. conda 24.7 reads no other hash than MD5 in it."""
    lines = [
        "# Made by conda prune. To rebuild the environment: conda create --name NAME --file THIS_FILE",
        f"# platform: {platform()}",
        "@EXPLICIT",
    ]
    for record in records:
        if url := record["url"]:
            md5, sha256 = record["md5"], record["sha256"]
            digest = f"#{md5}" if md5 else f"#sha256:{sha256}" if sha256 else ""
            lines.append(masked(url) + digest)
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _requirements(packages: Iterable[PythonPackage]) -> bytes:
    lines = [
        package.requirement or f"# can't be installed again: {package.name} {package.version}: {package.why}"
        for package in packages
    ]
    return "".join(f"{line}\n" for line in lines).encode()
