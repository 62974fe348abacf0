"""A call is accepted with exactly one good signature, and every way to be wrong has its code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import Problem
from api.http.signatures import verify_call
from api.protocol.http_signatures import (
    AnswerMessage,
    InvalidSignature,
    RequestMessage,
    content_digest,
    sign_answer,
    sign_request,
    verify_answer,
)
from api.runtime.signed_call import SignedCall

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw().hex()
KEY_ID = f"7:{PUBLIC}"
BODY = b'{"asset":"6.1"}'


def signed(body: bytes = BODY, key: Ed25519PrivateKey = KEY, key_id: str = KEY_ID) -> RequestMessage:
    message = RequestMessage("POST", "http://city.example/v1/read?x=1", {"content-type": "application/json"})
    sign_request(message, content_digest(body), key_id, key)
    return message


def verify(message: RequestMessage, body: bytes = BODY, **more: object) -> SignedCall:
    told = {"now": datetime.now(UTC), **more}
    return verify_call(message, sha256(body).digest(), lambda d, k: (d, k) == (7, PUBLIC), **told)  # type: ignore[arg-type]


def refused(message: RequestMessage, body: bytes = BODY, **more: object) -> str:
    with pytest.raises(Problem) as caught:
        verify(message, body, **more)
    return caught.value.code


def test_a_good_signature_names_its_caller() -> None:
    call = verify(signed())
    assert (call.department, call.public_key, call.key_id) == (7, PUBLIC, KEY_ID)
    assert b'"@target-uri": http://city.example/v1/read?x=1' in call.signature_base


def test_two_calls_never_share_a_nonce() -> None:
    assert verify(signed()).nonce != verify(signed()).nonce


def test_an_altered_body_is_refused() -> None:
    assert refused(signed(), b'{"asset":"6.2"}') == "digest.mismatch"


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("url", "http://city.example/v1/read?x=2", "signature.invalid"),
        ("url", "http://other.example/v1/read?x=1", "signature.invalid"),
        ("method", "PUT", "signature.invalid"),
    ],
)
def test_an_altered_target_is_refused(member: str, value: str, code: str) -> None:
    message = signed()
    setattr(message, member, value)
    assert refused(message) == code


def test_an_unsigned_call_is_refused() -> None:
    assert refused(RequestMessage("POST", "http://city.example/v1/read", {})) == "signature.missing"


def test_a_stale_and_a_future_signature_are_refused() -> None:
    now = datetime.now(UTC)
    assert refused(signed(), now=now + timedelta(seconds=120)) == "signature.stale"
    assert refused(signed(), now=now - timedelta(seconds=120)) == "signature.future"


def test_an_unknown_key_and_a_key_of_another_department_are_refused() -> None:
    stranger = Ed25519PrivateKey.generate()
    assert (
        refused(signed(key=stranger, key_id=f"7:{stranger.public_key().public_bytes_raw().hex()}"))
        == "signature.unknown-key"
    )
    assert refused(signed(key_id=f"8:{PUBLIC}")) == "signature.unknown-key"
    assert refused(signed(key=stranger)) == "signature.invalid"


def edited(old: str, new: str) -> RequestMessage:
    message = signed()
    message.headers["Signature-Input"] = message.headers["Signature-Input"].replace(old, new)
    return message


def test_missing_parameters_have_their_codes() -> None:
    message = signed()
    field = message.headers["Signature-Input"]
    message.headers["Signature-Input"] = field[: field.index(";nonce=")]
    assert refused(message) == "signature.nonce-missing"
    message = signed()
    field = message.headers["Signature-Input"]
    start = field.index(";created=")
    message.headers["Signature-Input"] = field[:start] + field[field.index(";", start + 1) :]
    assert refused(message) == "signature.created-missing"


@pytest.mark.parametrize("component", ['"@method" ', '"@target-uri" ', ' "content-digest"'])
def test_every_component_must_be_covered(component: str) -> None:
    assert refused(edited(component, "")) == "signature.components"


def test_two_signatures_are_refused() -> None:
    message = signed()
    for name in ("Signature-Input", "Signature"):
        value = message.headers[name]
        message.headers[name] = f"{value}, second{value.removeprefix('civic')}"
    assert refused(message) == "signature.multiple"


@given(st.text(max_size=80), st.text(max_size=80))
def test_malformed_headers_give_a_problem(inputs: str, signatures: str) -> None:
    message = RequestMessage(
        "POST",
        "http://city.example/v1/read",
        {"Signature-Input": inputs, "Signature": signatures, "Content-Digest": content_digest(BODY)},
    )
    with pytest.raises(Problem) as caught:
        verify(message)
    assert caught.value.code.partition(".")[0] in ("signature", "digest")


def answer() -> AnswerMessage:
    message = AnswerMessage(
        200,
        {"Content-Digest": content_digest(b"[]"), "Civic-Receipt": "abc", "Civic-Release": "r1"},
        signed(),
    )
    sign_answer(message, "gateway", KEY)
    return message


def test_an_answer_verifies_and_binds_its_request() -> None:
    verify_answer(answer(), KEY.public_key())
    other = answer()
    other.request = signed()
    with pytest.raises(InvalidSignature):
        verify_answer(other, KEY.public_key())


@pytest.mark.parametrize("name", ["Content-Digest", "Civic-Receipt", "Civic-Release"])
def test_an_answer_with_a_changed_header_is_refused(name: str) -> None:
    message = answer()
    message.headers[name] = content_digest(b"other") if name == "Content-Digest" else "other"
    with pytest.raises(InvalidSignature):
        verify_answer(message, KEY.public_key())


def test_a_receipt_added_after_signing_is_refused() -> None:
    message = AnswerMessage(200, {"Content-Digest": content_digest(b"[]")}, signed())
    sign_answer(message, "gateway", KEY)
    message.headers["Civic-Receipt"] = "forged"
    with pytest.raises(InvalidSignature):
        verify_answer(message, KEY.public_key())
