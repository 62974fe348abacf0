"""A source that is a list of parts: what may be signed, and that the signature covers every part."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.audit.formats.source_opening import seal
from ledger.audit.formats.source_parts import MAX_PARTS, manifest_digest, signed_files
from ledger.catalogue.metadata import MetadataError, metadata_hash, parse_metadata, parse_opening
from tests.ledger.catalogue.test_metadata import AIR

SALT = "00" * 16


def part(number: int, size: int = 10) -> dict[str, Any]:
    return {"sha256": f"{number:064x}", "bytes": size}


def entry(*parts: dict[str, Any], form: str = "parquet") -> dict[str, Any]:
    return AIR | {"source": {"format": form, "parts": list(parts), "salt": SALT}}


def opened(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"parts": list(parts), "salt": SALT}


def test_the_signature_is_over_every_part_and_their_order() -> None:
    parts = [part(1), part(2), part(3)]
    others = [
        [part(1), part(2)],
        [part(2), part(1), part(3)],
        [part(1), part(2), part(4)],
        [part(1), part(2), part(3, 11)],
    ]
    for say in (lambda p: metadata_hash(entry(*p)), lambda p: metadata_hash(seal(entry(*p))[0])):
        assert len({say(one) for one in (parts, *others)}) == 5
    sealed, opening = seal(entry(*parts))
    assert opening == opened(*parts)
    assert sealed["source"] == {"format": "parquet", "opening": parse_opening(opening)}
    assert [one.size for one in signed_files(opening)] == [10, 10, 10]
    assert len({manifest_digest(opened(*one)) for one in (parts, *others)}) == 5


@pytest.mark.parametrize(
    ("parts", "code", "pointer"),
    [
        ([], "parts.none", "/parts"),
        ([part(n) for n in range(MAX_PARTS + 1)], "parts.too-many", "/parts"),
        ([part(1), part(2), part(1)], "parts.twice", "/parts/2/sha256"),
        ([part(1), part(1, 11)], "parts.twice", "/parts/1/sha256"),
        ([part(1), part(2) | {"path": "x"}], "metadata.invalid", "/parts/1/path"),
        ([part(1), {"sha256": "AB" * 32, "bytes": 1}], "metadata.invalid", "/parts/1/sha256"),
        ([part(1), {"sha256": "../6.1/" + "a" * 57, "bytes": 1}], "metadata.invalid", "/parts/1/sha256"),
        ([part(1, -1)], "metadata.invalid", "/parts/0/bytes"),
        ("ab", "metadata.invalid", "/parts"),
        ({"0": part(1)}, "metadata.invalid", "/parts"),
        ([[part(1)]], "metadata.invalid", "/parts/0"),
    ],
)
def test_malformed_list_of_parts_is_refused(parts: Any, code: str, pointer: str) -> None:
    with pytest.raises(MetadataError) as refused:
        parse_opening({"parts": parts, "salt": SALT})
    assert (refused.value.code, refused.value.pointer) == (code, pointer)
    with pytest.raises(MetadataError) as refused:
        parse_metadata(AIR | {"source": {"format": "parquet", "parts": parts}})
    assert (refused.value.code, refused.value.pointer) == (code, f"/source{pointer}")


def test_only_parquet_files_are_parts() -> None:
    with pytest.raises(MetadataError) as refused:
        parse_metadata(entry(part(1), part(2), form="csv"))
    assert (refused.value.code, refused.value.pointer) == ("parts.format", "/source/format")


def test_source_is_either_one_file_or_parts() -> None:
    for mixed in (opened(part(1)) | part(2), {"parts": [part(1)]}):
        with pytest.raises(MetadataError):
            parse_opening(mixed)
    with pytest.raises(MetadataError):
        parse_metadata(AIR | {"source": {"format": "parquet", "parts": [part(1)], **part(2)}})


def test_the_longest_list_is_signed() -> None:
    parts = [part(n) for n in range(MAX_PARTS)]
    assert len(signed_files(parse_metadata(entry(*parts)).document["source"])) == MAX_PARTS
