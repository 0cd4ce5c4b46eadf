"""The receipt on disk: what earlier versions wrote is read, and written again byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conda_prune_plugin.core.model import PartKind
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.execution.state.receipt import (
    Archived,
    Held,
    OtherSource,
    Receipt,
    ReceiptEntry,
    RunState,
    StoredReason,
    receipt_from,
    receipt_text,
)

#: As the first version with these fields wrote it.
WRITTEN = (
    '{"schema": 1, "run": "20261130T101500Z-8f2a51c3", "started": 1796033700.5, "disposal": "archive", '
    '"destination": "/backups", "state": "done", "cache": "/pkgs/\\udcff", "entries": [{"dist": "a-1-0", "parts": '
    '[{"kind": "extracted", "name": "a-1-0", "number": "0"}], "files": 3, "apparent": 4096, "reclaimable": 8192, '
    '"last_used": null, "source": null, "sha256": null, "record": null, "reasons": []}, {"dist": "b-2-1", "parts": '
    '[{"kind": "archive", "name": "b-2-1.conda", "number": "1"}, {"kind": "lock", "name": "b-2-1.lock", "number": '
    '"12"}], "files": 2, "apparent": 10, "reclaimable": 20, "last_used": 1796033000.0, "source": '
    '"https://c/b-2-1.conda", "sha256": "ab", "record": {"name": "b", "size": 7, "depends": ["x >1", "\\u00e9"]}, '
    '"reasons": [{"kind": "trash", "detail": "a leftover"}], "names": ["b-2-0", "c"], "remainder": ["info", '
    '"index.json"], "other_sources": [{"name": "b-2-1.tar.bz2", "url": "https://c/b.tar.bz2", "sha256": null}], '
    '"archived": {"name": "b-2-1.tar.zst", "sha256": "cd", "size": 5}}]}'
)

RECEIPT = Receipt(
    Run("20261130T101500Z-8f2a51c3", 1796033700.5, Disposal.ARCHIVE, "/backups"),
    "/pkgs/\udcff",
    RunState.DONE,
    (
        ReceiptEntry("a-1-0", (Held(PartKind.EXTRACTED, "a-1-0", "0"),), 3, 4096, 8192),
        ReceiptEntry(
            "b-2-1",
            (Held(PartKind.ARCHIVE, "b-2-1.conda", "1"), Held(PartKind.LOCK, "b-2-1.lock", "12")),
            2,
            10,
            20,
            1796033000.0,
            "https://c/b-2-1.conda",
            "ab",
            {"name": "b", "size": 7, "depends": ["x >1", "é"]},
            (StoredReason("trash", "a leftover"),),
            ("b-2-0", "c"),
            ("info", "index.json"),
            (OtherSource("b-2-1.tar.bz2", "https://c/b.tar.bz2"),),
            Archived("b-2-1.tar.zst", "cd", 5),
        ),
    ),
)


def test_a_receipt_is_written_as_earlier_versions_wrote_it_and_read_back() -> None:
    assert receipt_text(RECEIPT) == WRITTEN
    assert receipt_from(WRITTEN) == RECEIPT


def test_fields_of_a_later_version_are_ignored() -> None:
    document = json.loads(WRITTEN)
    document["more"] = document["entries"][0]["more"] = 1

    assert receipt_from(json.dumps(document)) == RECEIPT


def changed(*place: str | int, to: object) -> str:
    """Return the receipt with one of its values changed."""
    document: Any = json.loads(WRITTEN)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = to
    return json.dumps(document)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        changed("schema", to=2),
        changed("schema", to="1"),
        changed("started", to=float("nan")),
        changed("started", to=10**400),
        changed("disposal", to="no such word"),
        changed("state", to=None),
        changed("entries", to={}),
        changed("entries", 0, "dist", to=None),
        changed("entries", 0, "files", to="3"),
        changed("entries", 0, "record", to=[]),
        changed("entries", 0, "parts", 0, "number", to="../0"),
        changed("entries", 0, "parts", 0, "number", to="٣"),
        changed("entries", 0, "parts", 0, "number", to=""),
        changed("entries", 0, "parts", 0, "name", to="../a"),
        changed("entries", 1, "remainder", to=["info", ".."]),
        changed("entries", 1, "other_sources", 0, "name", to="a/b"),
    ],
)
def test_what_is_no_receipt_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        receipt_from(text)


def test_a_missing_field_is_refused() -> None:
    document = json.loads(WRITTEN)
    del document["entries"][0]["files"]

    with pytest.raises(ValueError, match=r"has no files$"):
        receipt_from(json.dumps(document))
