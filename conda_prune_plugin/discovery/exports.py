"""All that is needed to rebuild an environment, as files; nothing is written here.

conda's own export is not called: in the versions before 25.5 it reads an environment in a way that deletes records of
pip's packages (`PrefixData` with interoperability). A test compares this one with what it prints.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from ..core.model import Root
from .python_packages import PythonPackage, python_packages
from .reading import read_object, read_regular
from .records import META

#: The names of the files.
YAML, EXPLICIT, PIP, PIP_DETAILS = "environment.yml", "explicit.txt", "requirements.txt", "pip.json"
VARIABLES, PINNED, HISTORY = "state", "pinned", "history"


@dataclass(frozen=True, slots=True)
class Export:
    """The files to rebuild an environment from, by name, and what they can't bring back.

    python: what pip has installed. sourceless: the dists of conda whose record has no url.
    """

    root: Root
    files: Mapping[str, bytes]
    python: tuple[PythonPackage, ...]
    sourceless: tuple[str, ...]


def export(root: Root) -> Export:
    """Return the export of an environment; what can't be read of it is left out."""
    records = _sorted(list(_records(root)))
    conda_s = frozenset(name for record in records for name in record.get("files") or () if isinstance(name, str))
    python = python_packages(root.path, conda_s)
    files = {
        YAML: _yaml(root, records, python),
        EXPLICIT: _explicit(records),
        PIP: _requirements(python),
        PIP_DETAILS: json.dumps([asdict(package) for package in python], indent=2).encode(),
    }
    for name in (VARIABLES, PINNED, HISTORY):
        with suppress(OSError):
            files[name] = read_regular(os.path.join(root.path, META, name))
    sourceless = tuple(_dist(record) for record in records if not record.get("url"))
    return Export(root, files, python, sourceless)


def _records(root: Root) -> Iterable[Mapping[str, Any]]:
    for dist in sorted(root.dists):
        with suppress(OSError, ValueError):
            record = read_object(os.path.join(root.path, META, f"{dist}.json"))
            if _dist(record) == dist:
                yield record


def _dist(record: Mapping[str, Any]) -> str:
    return "-".join(str(record.get(key)) for key in ("name", "version", "build"))


def _sorted(records: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the records in the order in which they can be linked: each behind what it depends on."""
    from conda.models.prefix_graph import PrefixGraph
    from conda.models.records import PrefixRecord

    by_dist = {_dist(record): record for record in records}
    try:
        ordered = PrefixGraph(PrefixRecord(**record) for record in records).graph
        return [by_dist[f"{item.name}-{item.version}-{item.build}"] for item in ordered]
    except Exception:  # noqa: BLE001
        # conda's models and MatchSpec raise whatever they like on odd records; conda sorts again when it installs.
        return records


def _yaml(root: Root, records: Iterable[Mapping[str, Any]], python: Iterable[PythonPackage]) -> bytes:
    """Return what ``conda env export`` prints (`conda.env.env.from_environment` of 24.7)."""
    import ruamel.yaml
    from conda.base.context import context
    from conda.models.channel import Channel

    by_name = sorted(records, key=lambda record: str(record["name"]))
    dependencies: list[Any] = ["=".join(str(record[key]) for key in ("name", "version", "build")) for record in by_name]
    if pip := [f"{package.name.lower()}=={package.version}" for package in python if package.version]:
        dependencies.append({"pip": pip})
    channels = list(context.channels)
    for record in by_name:
        channel = str(Channel(_masked(str(record.get("channel") or record.get("url") or ""))).canonical_name)
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
    from conda.base.context import context

    lines = [
        "# Made by conda prune. To make the environment again: conda create --name NAME --file THIS_FILE",
        f"# platform: {context.subdir}",
        "@EXPLICIT",
    ]
    for record in records:
        if url := record.get("url"):
            md5, sha256 = record.get("md5"), record.get("sha256")
            digest = f"#{md5}" if md5 else f"#sha256:{sha256}" if sha256 else ""
            lines.append(_masked(str(url)) + digest)
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _requirements(packages: Iterable[PythonPackage]) -> bytes:
    lines = [
        package.requirement or f"# not to be had again: {package.name} {package.version}: {package.why}"
        for package in packages
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _masked(url: str) -> str:
    from conda.common.url import mask_anaconda_token, remove_auth

    return str(mask_anaconda_token(remove_auth(url)))
