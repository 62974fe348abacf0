"""Only its own disclosure opens a commitment; every text gives an answer or a refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.audit.formats.disclosures import DisclosureInvalid, disclosure_digest, opened, read_disclosure
from ledger.audit.log.openings import commit

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.text(min_size=1, max_size=20), VALUES)
def test_a_disclosure_opens_its_own_commitment(name: str, value: object) -> None:
    opening = commit(name, value)
    entry = {"commitments": {name: opening.digest}}
    assert opened(entry, name, opening.disclosure) == value
    assert disclosure_digest(opening.disclosure) == opening.digest


@given(st.integers(min_value=0), st.sampled_from("AZaz09-_=%\n"))
def test_any_other_text_is_refused(place: int, put: str) -> None:
    opening = commit("call", "ab" * 32)
    text = opening.disclosure
    at = place % len(text)
    entry = {"commitments": {"call": opening.digest}}
    for other in (text[:at] + put + text[at + 1 :], text[:at] + put + text[at:], text[:at], text + put):
        if other != text:
            with pytest.raises(DisclosureInvalid):
                opened(entry, "call", other)


@given(st.text() | st.none() | st.integers())
def test_malformed_disclosure_is_refused(given_text: object) -> None:
    entry = {"commitments": {"call": commit("call", 1).digest}}
    with pytest.raises(DisclosureInvalid):
        opened(entry, "call", given_text)


def test_a_disclosure_of_another_name_or_an_entry_without_the_commitment_is_refused() -> None:
    opening = commit("response", "ab" * 32)
    for entry in ({}, {"commitments": None}, {"commitments": {}}, {"commitments": {"call": opening.digest}}):
        with pytest.raises(DisclosureInvalid):
            opened(entry, "call", opening.disclosure)
    for malformed in ("W10", "bnVsbA", "WzEsImNhbGwiLDFd", "[" * 5000):
        with pytest.raises(DisclosureInvalid):
            read_disclosure(malformed)
