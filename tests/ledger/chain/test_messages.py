"""EIP-712: the same digests as other implementations, and no signature over a message that is not of its
type."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from eth_keys import keys
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.artifacts import eip712_types
from ledger.acts.labels import LABELS, TITLES
from ledger.acts.wording import describe, title
from ledger.chain.calls import act_types
from ledger.chain.messages import (
    MAX_ITEMS,
    Domain,
    Message,
    MessageError,
    UnknownMessage,
    digest,
    fields,
    normalise,
    struct_hash,
    type_names,
)
from ledger.chain.signers import SignatureError, address_of, recover, sign_digest

DOMAIN = Domain("Civic Ledger SharingLedger", "1", 2**52 - 1, "0x" + "ab" * 20, "0x" + "5a" * 32)
TERMS: dict[str, Any] = {
    "asset": 7 << 40 | 12,
    "grantee": 9,
    "right": 2,
    "notBefore": 0,
    "expiry": 1_800_000_000,
    "maxUses": 100,
    "depth": 0,
    "deadline": 1_790_000_000,
    "termsHash": "0x" + "11" * 32,
    "parent": "0x" + "00" * 32,
    "salt": 2**64 - 1,
}


def values_of(kind: str) -> st.SearchStrategy[Any]:
    """Any value of a type, as JSON holds it."""
    if kind.endswith("[]"):
        return st.lists(values_of(kind[:-2]), max_size=3)
    if kind in type_names():
        return messages_of(kind)
    if kind.startswith("uint"):
        return st.integers(0, (1 << int(kind[4:])) - 1)
    if kind == "string":
        return st.text(max_size=20)
    size = 20 if kind == "address" else int(kind.removeprefix("bytes"))
    return st.binary(min_size=size, max_size=size).map(lambda b: "0x" + b.hex())


def messages_of(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({member.name: values_of(member.type) for member in fields(name)})


any_message = st.sampled_from(type_names()).flatmap(lambda name: messages_of(name).map(lambda m: (name, m)))


def by_eth_account(domain: Domain, name: str, message: Message) -> bytes:
    """The digest as eth-account computes it; it requires exactly the types of the message."""
    wanted, waiting = {"EIP712Domain"}, [name]
    while waiting:
        wanted.add(one := waiting.pop())
        inner = {member.type.removesuffix("[]") for member in fields(one)}
        waiting += [other for other in inner if other in type_names()]
    document = {
        "types": {one: members for one, members in eip712_types().items() if one in wanted},
        "primaryType": name,
        "domain": {
            "name": domain.name,
            "version": domain.version,
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
            "salt": domain.salt,
        },
        "message": message,
    }
    signable = encode_typed_data(full_message=document)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


@settings(max_examples=150, deadline=None)
@given(any_message)
def test_the_digest_is_that_of_eth_account(case: tuple[str, dict[str, Any]]) -> None:
    name, message = case
    assert digest(DOMAIN, name, message) == by_eth_account(DOMAIN, name, message)


@settings(max_examples=100, deadline=None)
@given(any_message)
def test_every_spelling_of_a_message_has_one_digest(case: tuple[str, dict[str, Any]]) -> None:
    name, message = case

    def respell(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: respell(item) for key, item in reversed(value.items())}
        if isinstance(value, list):
            return tuple(respell(item) for item in value)
        return str(value) if isinstance(value, int) and abs(value) >= 2**53 else value

    assert normalise(name, respell(message)) == normalise(name, message)
    assert struct_hash(name, respell(message)) == struct_hash(name, message)


@settings(max_examples=100, deadline=None)
@given(any_message)
def test_a_message_is_described_whole_in_both_languages(case: tuple[str, dict[str, Any]]) -> None:
    name, message = case
    for language in ("zh", "en"):
        lines = describe(name, message, language)
        assert len(lines) >= len(fields(name))
        assert all(label and isinstance(value, str) for label, value in lines)


def test_a_grant_in_words() -> None:
    english = dict(describe("Terms", TERMS, "en"))
    assert title("Terms", "en") == "Grant access under these terms"
    assert english["dataset"] == "7.12"
    assert english["to department"] == "department 9"
    assert english["right"] == "processing-and-use right"
    assert english["valid from"] == "at once"
    assert english["valid until"] == "2027-01-15 08:00:00Z"
    chinese = dict(describe("Terms", TERMS | {"grantee": 0, "maxUses": 2**32 - 1}, "zh"))
    assert chinese["需求部门"] == "全部已接入部门（无条件共享授权）"
    assert chinese["到期时间"] == "2027-01-15 16:00:00（北京时间）"
    assert chinese["最多使用次数"] == "不限"
    batch = dict(describe("GrantBatch", {"grants": [TERMS, TERMS], "deadline": 1}, "en"))
    assert batch["grant 2 · dataset"] == "7.12"


def test_every_member_has_a_word_in_both_languages() -> None:
    for name in type_names():
        for member in fields(name):
            assert f"{name}.{member.name}" in LABELS or member.name in LABELS, f"{name}.{member.name}"
    assert set(act_types()) == set(TITLES)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"colour": 1}, "/colour"),
        ({"asset": ...}, "/asset"),
        ({"asset": 1 << 64}, "/asset"),
        ({"asset": -1}, "/asset"),
        ({"asset": True}, "/asset"),
        ({"asset": 1.0}, "/asset"),
        ({"asset": "07"}, "/asset"),
        ({"asset": "٣"}, "/asset"),
        ({"asset": "0x07"}, "/asset"),
        ({"asset": "7"}, "/asset"),
        ({"asset": str(2**53 - 1)}, "/asset"),
        ({"salt": "0"}, "/salt"),
        ({"grantee": 1 << 24}, "/grantee"),
        ({"termsHash": "0x" + "1A" * 32}, "/termsHash"),
        ({"termsHash": "0X" + "11" * 32}, "/termsHash"),
        ({"parent": "0x" + "AB" * 32}, "/parent"),
        ({"right": 256}, "/right"),
        ({"termsHash": "11" * 32}, "/termsHash"),
        ({"termsHash": "0x" + "11" * 31}, "/termsHash"),
        ({"termsHash": "0x" + "1g" * 32}, "/termsHash"),
        ({"termsHash": 5}, "/termsHash"),
    ],
)
def test_value_of_another_type_is_refused_with_its_pointer(change: dict[str, Any], pointer: str) -> None:
    message = {name: value for name, value in (TERMS | change).items() if value is not ...}
    with pytest.raises(MessageError) as caught:
        struct_hash("Terms", message)
    assert caught.value.pointer == pointer
    assert caught.value.code == "act.message"


def test_error_in_a_batch_has_its_pointer() -> None:
    with pytest.raises(MessageError) as caught:
        normalise("GrantBatch", {"grants": [TERMS, TERMS | {"depth": 256}], "deadline": 1})
    assert caught.value.pointer == "/grants/1/depth"
    with pytest.raises(MessageError):
        normalise("RevokeBatch", {"grants": ["0x" + "00" * 32] * (MAX_ITEMS + 1), "reason": 0, "deadline": 1})
    with pytest.raises(MessageError):
        normalise("NewEpoch", {"reason": "\ud800"})
    with pytest.raises(UnknownMessage):
        digest(DOMAIN, "Teapot", {})
    for document in (None, [], "Terms"):
        with pytest.raises(MessageError):
            normalise("Terms", document)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        Domain("Civic Ledger", "1", DOMAIN.chain_id, DOMAIN.contract, DOMAIN.salt),
        Domain(DOMAIN.name, "2", DOMAIN.chain_id, DOMAIN.contract, DOMAIN.salt),
        Domain(DOMAIN.name, "1", 1, DOMAIN.contract, DOMAIN.salt),
        Domain(DOMAIN.name, "1", DOMAIN.chain_id, "0x" + "cd" * 20, DOMAIN.salt),
        Domain(DOMAIN.name, "1", DOMAIN.chain_id, DOMAIN.contract, "0x" + "5b" * 32),
    ],
)
def test_signature_is_valid_in_one_domain_only(other: Domain) -> None:
    secret = b"\x07" * 32
    signature = sign_digest(secret, digest(DOMAIN, "Terms", TERMS))
    assert recover(digest(DOMAIN, "Terms", TERMS), signature) == address_of(secret)
    assert recover(digest(other, "Terms", TERMS), signature) != address_of(secret)


@settings(max_examples=50, deadline=None)
@given(
    st.binary(min_size=32, max_size=32).filter(lambda b: 0 < int.from_bytes(b) < 2**255),
    st.binary(min_size=32, max_size=32),
)
def test_signatures_are_canonical_and_recover(secret: bytes, message: bytes) -> None:
    signature = sign_digest(secret, message)
    assert len(signature) == 65
    assert signature[64] in (27, 28)
    assert (
        recover(message, signature)
        == address_of(secret)
        == keys.PrivateKey(secret).public_key.to_checksum_address()
    )
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = (order - int.from_bytes(signature[32:64])).to_bytes(32)
    malleable = signature[:32] + high + bytes([55 - signature[64]])
    with pytest.raises(SignatureError):
        recover(message, malleable)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x01" * 64,
        b"\x01" * 66,
        b"\x01" * 64 + b"\x00",
        b"\x00" * 64 + b"\x1b",
        b"\xff" * 32 + b"\x01" * 32 + b"\x1b",
    ],
)
def test_malformed_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        recover(b"\x01" * 32, signature)


def test_the_module_is_quick_to_import_and_brings_no_web3() -> None:
    code = (
        "import sys, ledger.chain.messages, ledger.chain.signers, ledger.acts.wording;"
        "heavy = {'web3', 'eth_account', 'eth_utils', 'sqlalchemy', 'eth_tester'} & set(sys.modules);"
        "sys.exit(bool(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
