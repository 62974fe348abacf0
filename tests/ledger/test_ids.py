"""Every identifier has exactly one spelling: only the spelling that would be written is accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_policy.terms.vocabulary import is_misspelt
from ledger.ids import (
    EVERYBODY,
    IdError,
    asset_id,
    asset_iri,
    asset_text,
    department_iri,
    parse_actor,
    parse_address,
    parse_asset,
    parse_asset_iri,
    parse_department,
    parse_department_iri,
    parse_digest,
    parse_grant,
    parse_key_id,
    parse_number,
    parse_public_key,
    parse_uuid,
)

HEX = "ab" * 32
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # The example of EIP-55.
UUID_TEXT = "0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d"

Parse = Callable[[str], Any]

GOOD: dict[Parse, str] = {
    parse_number: "12",
    parse_department: "7",
    parse_department_iri: "urn:civic:dept:7",
    parse_asset: "7.12",
    parse_asset_iri: "urn:civic:asset:7.12",
    parse_grant: f"0x{HEX}",
    parse_digest: f"0x{HEX}",
    parse_public_key: HEX,
    parse_key_id: f"7:{HEX}",
    parse_address: ADDRESS,
    parse_actor: ADDRESS,
    parse_uuid: UUID_TEXT,
}
OTHERS: dict[Parse, list[str]] = {
    parse_number: ["012", "00", "-1", "1_2", "1e2", "12.0", "0x12", "9" * 20],
    parse_department: ["07", "0", "-7", "7.0", "0x7", "16777216", "urn:civic:dept:7", "any", "1_0"],
    parse_department_iri: ["7", "urn:civic:dept:07", "URN:civic:dept:7", "urn:civic:Dept:7", "urn:civic:dept:0"],
    parse_asset: ["07.12", "7.012", "7.0", "0.1", "7,12", "7.12.1", "7", "urn:civic:asset:7.12", "7.1099511627776"],
    parse_asset_iri: ["7.12", "urn:civic:asset:07.12", "urn:civic:ASSET:7.12", "urn:civic:dept:7"],
    parse_grant: [HEX, f"0X{HEX}", f"0x{HEX.upper()}", f"0x{HEX[:-1]}", f"0x{HEX}0", f"0x{HEX[:-1]}g"],
    parse_digest: [HEX, f"0x{HEX.upper()}"],
    parse_public_key: [f"0x{HEX}", HEX.upper(), HEX[:-1], " ".join(HEX)],
    parse_key_id: [f"07:{HEX}", f"0007:{HEX}", f"0:{HEX}", f"16777216:{HEX}", f"7:0x{HEX}", f"7:{HEX.upper()}", f"7 :{HEX}"],
    parse_address: [ADDRESS.lower(), ADDRESS.upper(), "0x" + ADDRESS[2:].upper(), ADDRESS[2:], ADDRESS[:-1],
                    ADDRESS[:-1] + "D", "0x" + ADDRESS[2:].swapcase()],
    parse_actor: [ADDRESS.lower(), f"07:{HEX}", f"7:{HEX.upper()}", HEX, "nobody", ""],
    parse_uuid: [UUID_TEXT.upper(), UUID_TEXT.replace("-", ""), f"{{{UUID_TEXT}}}", f"urn:uuid:{UUID_TEXT}", UUID_TEXT[:-1]],
}  # fmt: skip
BLANKS = [" {0}", "{0} ", "{0}\n", "\t{0}", "{0}\u00a0", "\u200b{0}", "{0}\0", "+{0}", ""]


def respelled(text: str) -> list[str]:
    """The same with blanks, and with a digit of another script."""
    digits = [i for i, c in enumerate(text) if c.isdigit()]
    wide = [text[:i] + chr(ord(text[i]) + shift) + text[i + 1 :] for i in digits for shift in (0xFEE0, 0x630)]
    return [*(blank.format(text) for blank in BLANKS), *wide[:4]]


@pytest.mark.parametrize("parse", GOOD, ids=lambda parse: parse.__name__)
def test_an_identifier_has_one_spelling(parse: Parse) -> None:
    parse(GOOD[parse])
    for text in [*OTHERS[parse], *respelled(GOOD[parse])]:
        with pytest.raises(IdError) as refused:
            parse(text)
        assert refused.value.code == "id.invalid"
        assert refused.value.hint


@given(st.integers(1, (1 << 24) - 1), st.integers(1, (1 << 40) - 1))
def test_formatted_identifier_is_parsed(department: int, sequence: int) -> None:
    number = asset_id(department, sequence)
    assert parse_department(str(department)) == department
    assert parse_department_iri(department_iri(department)) == department
    assert parse_asset(asset_text(number)) == number
    assert parse_asset_iri(asset_iri(number)) == number


@given(st.text(st.sampled_from("0123456789.７٣ +x-anyurn:civic:"), max_size=20))
def test_only_the_canonical_spelling_is_parsed(text: str) -> None:
    """The parsers accept each value in one spelling only."""
    readers: list[tuple[Parse, Callable[[Any], str]]] = [
        (parse_number, str),
        (parse_department, str),
        (parse_asset, asset_text),
    ]
    for parse, write in readers:
        try:
            found = parse(text)
        except IdError:
            continue
        assert write(found) == text


@given(
    st.sampled_from(["urn:civic:dept:", "urn:civic:asset:", "urn:civic:DEPT:", "urn:other:"]),
    st.one_of(
        st.text("0123456789.any７", max_size=12),
        st.integers(0, 1 << 23).map(str),
        st.tuples(st.integers(0, 1 << 23), st.integers(0, 1 << 39)).map(lambda p: f"{p[0]}.{p[1]}"),
    ),
)
def test_documents_spell_departments_and_assets_as_the_ledger_does(prefix: str, rest: str) -> None:
    iri = prefix + rest
    if not iri.lower().startswith(("urn:civic:dept:", "urn:civic:asset:")):
        assert not is_misspelt(iri)
        return
    read = parse_asset_iri if "asset" in prefix else parse_department_iri
    try:
        read(iri)
        known = True
    except IdError:
        known = iri == EVERYBODY
    big = any(len(part) > 7 for part in rest.split(".")[:1]) or len(rest.rpartition(".")[2]) > 12
    assert big or is_misspelt(iri) is not known
