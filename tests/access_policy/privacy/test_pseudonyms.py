"""Pseudonyms are stable within a grant, unrelated across grants, and useless without the key."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from access_policy.privacy.pseudonyms import column_pads, derive_grant_key
from access_policy.terms.transforms import Pseudonym, Transform

from .conftest import ROWS, SECRET, Register

HIDDEN: dict[str, Transform] = {"citizen id": Pseudonym()}


def pseudonyms(register: Register, grant: str, **more: bytes) -> list[str | None]:
    plan = register.plan({"columns": ["citizen id"]}, HIDDEN, grant=grant)
    return [row["citizen id"] for row in register.read(plan, **more)]


def test_one_person_has_one_pseudonym_within_a_grant(register: Register) -> None:
    first, second = pseudonyms(register, "0x01"), pseudonyms(register, "0x01")
    assert first == second
    assert len(set(first) - {None}) == len({row["citizen id"] for row in ROWS} - {None})


def test_csv_and_parquet_give_the_same_pseudonyms(register: Register) -> None:
    plan = register.plan({}, HIDDEN | {"born": Pseudonym(), "age": Pseudonym()})
    assert register.read(plan, "csv") == register.read(plan, "parquet")


def test_two_grants_share_no_pseudonym(register: Register) -> None:
    assert not (set(pseudonyms(register, "0x01")) & set(pseudonyms(register, "0x02"))) - {None}


def test_rotated_key_generation_shares_no_pseudonym() -> None:
    keys = {derive_grant_key(SECRET, "0x01", generation=g) for g in (1, 2, 3)}
    assert len(keys) == 3


def test_pseudonyms_of_two_columns_differ(register: Register) -> None:
    plan = register.plan({"columns": ["citizen id", "name"]}, HIDDEN | {"name": Pseudonym()})
    rows = register.read(plan)
    assert not ({r["citizen id"] for r in rows} & {r["name"] for r in rows}) - {None}
    pads = {column_pads(derive_grant_key(SECRET, "0x01"), column) for column in ("citizen id", "name")}
    assert len(pads) == 2


def test_dictionary_without_the_key_finds_no_pseudonym(register: Register) -> None:
    seen = set(pseudonyms(register, "0x01")) - {None}
    guesses = {f"C{i:03d}".encode() for i in range(1000)}
    for key in (b"", b"0x01", b"\x00" * 32, b"another secret of thirty-two bytes"):
        assert not seen & {hmac.new(key, g, hashlib.sha256).hexdigest()[:32] for g in guesses}
    assert not seen & {hashlib.sha256(g).hexdigest()[:32] for g in guesses}


def test_null_stays_null(register: Register) -> None:
    assert pseudonyms(register, "0x01").count(None) == sum(row["citizen id"] is None for row in ROWS)


def test_source_order_does_not_link_two_extracts(register: Register) -> None:
    """Row n of one grantee's extract against row n of another's: no more agreement than chance allows."""
    extracts = [
        register.read(register.plan({"columns": ["citizen id", "seen"]}, HIDDEN, grant=grant))
        for grant in ("0x01", "0x02")
    ]
    known = [[r["seen"] for r in extract if r["citizen id"] is not None] for extract in extracts]
    agreeing = sum(a == b and a is not None for a, b in zip(*known, strict=True))
    assert agreeing < len(known[0]) / 10


def test_scan_without_the_key_is_refused(register: Register) -> None:
    plan = register.plan({}, HIDDEN)
    for key in (None, b"", b"short"):
        with pytest.raises(ValueError, match="key"):
            register.scanner.scan(plan, register.source(), key)


def test_a_short_gateway_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        derive_grant_key(b"too short", "0x01")


def test_another_gateway_s_secret_gives_other_pseudonyms(register: Register) -> None:
    other = pseudonyms(register, "0x01", secret=b"the secret of quite another city..")
    assert not (set(other) & set(pseudonyms(register, "0x01"))) - {None}
