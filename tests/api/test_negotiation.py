"""In which format a caller gets its answer."""

from __future__ import annotations

import pytest

from api.http.negotiation import negotiated
from api.http.problems import Problem


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("ndjson", "ndjson"),
        ("application/x-ndjson", "ndjson"),
        ("CSV", "csv"),
        ("text/csv; charset=utf-8", "csv"),
        ("text/csv; charset=UTF-8; header=present", "csv"),
        ("json", "json"),
        ("arrow", "arrow"),
        ("", "json"),
        (" , ", "json"),
        ("*/*", "json"),
        ("application/*", "json"),
        ("text/*", "csv"),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "json"),
        ("application/json;q=0.5, text/csv", "csv"),
        ("application/json;q=0.5, text/csv;q=0.4", "json"),
        ("text/csv, application/json", "json"),
        ("*/*, application/json;q=0", "ndjson"),
        ("application/*;q=0.2, application/vnd.apache.arrow.stream;q=0.1, text/csv;q=0.1", "json"),
        ("application/json; q=0.1; extension=1, csv; q=0.2", "csv"),
        ('text/csv; charset="utf-8"', "csv"),
        ("image/png, csv", "csv"),
    ],
)
def test_the_format_is_negotiated(accept: str, chosen: str) -> None:
    assert negotiated(accept) == chosen


@pytest.mark.parametrize(
    "accept",
    [
        "xml",
        "image/*",
        "pickle",
        "../csv",
        "application/json;q=0",
        "*/*;q=0",
        "*/*;q=0.0, text/html",
        "text/csv; charset=gbk",
        "application/json; profile=x",
        "csv;q=2",
        "csv;q=nan",
        "csv;q=-1",
        "*",
        "json csv",
    ],
)
def test_an_unknown_format_is_told_the_known_ones(accept: str) -> None:
    with pytest.raises(Problem) as unknown:
        negotiated(accept)
    assert unknown.value.code == "format.unknown"
    assert unknown.value.document()["matches"] == ["ndjson", "json", "csv", "arrow"]
