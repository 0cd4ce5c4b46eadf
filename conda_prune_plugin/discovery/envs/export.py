"""Export an environment: everything that is needed to rebuild it, as the content of files. Nothing is written here.

conda's own export is not called: in the versions before 25.5 it reads an environment in a way that deletes records of
pip's packages (`PrefixData` with interoperability). A test compares this one with what it prints.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from ... import failures
from ...core.layout import META
from ...core.model import Root
from ...failures import suppress
from ..clients import conda_channels
from ..clients.conda_context import platform
from ..clients.conda_files import in_link_order
from ..system.safe_read import read_object, read_regular
from ..usage.pip_packages import PythonPackage, python_packages

#: The names of the files.
YAML, EXPLICIT, PIP, PIP_DETAILS = "environment.yml", "explicit.txt", "requirements.txt", "pip.json"
VARIABLES, PINNED, FROZEN, HISTORY = "state", "pinned", "frozen", "history"


@dataclass(frozen=True, slots=True)
class Export:
    """The files to rebuild an environment from, by name, and what they can't bring back.

    python: what pip has installed. sourceless: the dists of conda whose record has no url; unreadable: those whose
        record can't be read.
    """

    root: Root
    files: Mapping[str, bytes]
    python: tuple[PythonPackage, ...]
    sourceless: tuple[str, ...]
    unreadable: tuple[str, ...]


def export(root: Root) -> Export:
    """Return the export of an environment; what can't be read of it is left out."""
    known = dict(_records(root))
    records = _sorted([record for record in known.values() if record is not None])
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
    sourceless = tuple(_dist(record) for record in records if record["url"] is None)
    unreadable = tuple(dist for dist, record in known.items() if record is None)
    return Export(root, files, python, sourceless, unreadable)


def _records(root: Root) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Give the dists of an environment with their records, None for one that can't be read."""
    for dist in sorted(root.packages):
        path = os.path.join(root.path, META, f"{dist}.json")
        # What only another record claims to be is no package for conda.
        if failures.lexists(path):
            try:
                record = read_object(path)
            except (OSError, ValueError) as error:
                failures.note(error)
                yield dist, None
                continue
            if _dist(record) == dist:
                yield dist, _sane(record)


def _sane(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record whose fields are what conda writes there; what is something else counts as not there."""
    files = record.get("files")
    return {
        **record,
        **{key: record.get(key) if fits(record.get(key)) else None for key, fits in _FITTING.items()},
        "files": [name for name in files if isinstance(name, str)] if isinstance(files, list) else [],
    }


def _is_url(value: object) -> bool:
    """Return whether a value may stand on a line of an ``@EXPLICIT`` file."""
    with suppress(ValueError):
        return _is_text(value) and " " not in str(value) and bool(urlsplit(str(value)).scheme)
    return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and value != ""


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isalnum()


_FITTING = {"url": _is_url, "channel": _is_text, "md5": _is_digest, "sha256": _is_digest}


def _dist(record: Mapping[str, Any]) -> str:
    return "-".join(str(record.get(key)) for key in ("name", "version", "build"))


def _sorted(records: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the records in the order in which they can be linked: each behind what it depends on."""
    by_dist = {_dist(record): record for record in records}
    try:
        return [by_dist["-".join(parts)] for parts in in_link_order(records)]
    except Exception:  # noqa: BLE001
        # conda's models and MatchSpec raise whatever they like on odd records; conda sorts again when it installs.
        return records


def _yaml(root: Root, records: Iterable[Mapping[str, Any]], python: Iterable[PythonPackage]) -> bytes:
    """Return what ``conda env export`` prints (`conda.env.env.from_environment` of 24.7)."""
    import ruamel.yaml

    by_name = sorted(records, key=lambda record: str(record["name"]))
    dependencies: list[Any] = ["=".join(str(record[key]) for key in ("name", "version", "build")) for record in by_name]
    if pip := [f"{package.name.lower()}=={package.version}" for package in python if package.version]:
        dependencies.append({"pip": pip})
    channels = list(conda_channels.configured_channels())
    for record in by_name:
        # A channel that conda can't make sense of is none that it could install from.
        with suppress(Exception):
            channel = conda_channels.channel_name(conda_channels.masked(record["channel"] or record["url"] or ""))
            if channel not in channels:
                channels.insert(0, channel)
    document: dict[str, Any] = {"name": root.name or root.path, "channels": channels, "dependencies": dependencies}
    if variables := _variables(root):
        document["variables"] = variables
    document["prefix"] = root.path
    stream = io.StringIO()
    writer = ruamel.yaml.YAML()
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.width = 4096
    writer.dump(document, stream)
    return stream.getvalue().encode("utf-8", "surrogateescape")


def _variables(root: Root) -> Mapping[str, str]:
    """Return the variables of ``conda env config vars`` (``conda-meta/state``)."""
    with suppress(OSError, ValueError, AttributeError):
        variables = read_object(os.path.join(root.path, META, VARIABLES)).get("env_vars")
        if isinstance(variables, dict):
            return {str(name): str(value) for name, value in variables.items()}
    return {}


def _explicit(records: Iterable[Mapping[str, Any]]) -> bytes:
    """Return an ``@EXPLICIT`` file. conda 24.7 reads no other hash than MD5 in it."""
    lines = [
        "# Made by conda prune. To make the environment again: conda create --name NAME --file THIS_FILE",
        f"# platform: {platform()}",
        "@EXPLICIT",
    ]
    for record in records:
        if url := record["url"]:
            md5, sha256 = record["md5"], record["sha256"]
            digest = f"#{md5}" if md5 else f"#sha256:{sha256}" if sha256 else ""
            lines.append(conda_channels.masked(url) + digest)
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _requirements(packages: Iterable[PythonPackage]) -> bytes:
    lines = [
        package.requirement or f"# not to be had again: {package.name} {package.version}: {package.why}"
        for package in packages
    ]
    return "".join(f"{line}\n" for line in lines).encode()
