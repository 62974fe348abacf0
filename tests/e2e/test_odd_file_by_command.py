"""A file as Excel writes it in China is registered, and uploaded later under its own name."""

from __future__ import annotations

from pathlib import Path

from api.demo.city import City
from api.demo.participants import ENVIRONMENT
from tests.e2e.test_conditions import civic


def test_converted_file_is_handed_in_for_the_original(city: City, tmp_path: Path) -> None:
    file = tmp_path / "读数.csv"
    file.write_bytes("站点;读数\r\n东门;12.50\r\n西门;3.00\r\n".encode("gbk"))
    given = ("--file", file, "--title-zh", "读数", "--title-en", "Readings", "--no-upload")
    made = civic(city, ENVIRONMENT, "dataset", "register", "6.89", *given, "--key", "steward", "--yes")
    assert made["state"] == "recorded"
    written = Path(made["signed_file"])
    written.unlink()
    answer = civic(city, ENVIRONMENT, "dataset", "upload", "6.89", file)
    assert answer["bytes"] == written.stat().st_size
    fields = city.of(ENVIRONMENT).civic.dataset("6.89")["metadata"]["schema"]["fields"]
    assert [(one["name"], one["type"]) for one in fields] == [("站点", "string"), ("读数", "decimal(2)")]
