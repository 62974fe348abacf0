"""A call that is refused for its signature learns how to sign (RFC 9110, section 11.6.1; RFC 9421, section 5)."""

from __future__ import annotations

import base64
import hashlib
import time

import pytest

from api.demo.city import City
from api.demo.participants import AUDIT, PLANNING
from tests.simulators.raw_http import Call, Reply, digest_of, read_body, send

CHALLENGE = 'Signature realm="Civic Ledger"'
PLAIN = '"@method" "@target-uri" "content-digest"'


def unsigned(city: City, first: str, *lines: str, body: bytes = b"") -> Reply:
    host = city.service.url.removeprefix("http://")
    head = [f"{first} HTTP/1.1", f"Host: {host}", *lines, f"Content-Length: {len(body)}", "", ""]
    return send(city.service.url, "\r\n".join(head).encode() + body)


@pytest.mark.parametrize(
    ("first", "lines"),
    [
        ("POST /v1/read", ("Content-Type: application/json",)),
        ("GET /v1/requests", ()),
        ("PUT /v1/datasets/6.1/source", ()),
        ("GET /tile/entries/000.p/7", ()),
        ("GET /v1/audit/bundle", ()),
    ],
)
def test_an_unsigned_call_is_told_what_to_sign(shared_city: City, first: str, lines: tuple[str, ...]) -> None:
    body = read_body() if first.startswith("POST") else b""
    answer = unsigned(shared_city, first, *lines, body=body)
    assert (answer.status, answer.code) == (401, "signature.missing")
    assert answer.headers["www-authenticate"] == CHALLENGE
    assert answer.headers["accept-signature"].startswith(f'civic=({PLAIN});created;nonce="')


def test_headers_of_the_call_that_have_to_be_signed_are_named(shared_city: City) -> None:
    lines = ("Content-Type: application/json", "Accept: text/csv", "Idempotency-Key: 12345678")
    answer = unsigned(shared_city, "POST /v1/read", *lines, body=read_body())
    assert f'({PLAIN} "accept" "idempotency-key");' in answer.headers["accept-signature"]


def test_every_refusal_with_401_is_a_challenge(shared_city: City) -> None:
    key = shared_city.of(PLANNING).service
    call = {"key": key, "base": shared_city.service.url, "method": "GET", "target": "/v1/requests"}
    refused = {
        "signature.stale": Call(**call, created=int(time.time()) - 3_600),
        "signature.future": Call(**call, created=int(time.time()) + 3_600),
        "signature.unknown-key": Call(**call, key_id=f"{AUDIT.number}:{key.public}"),
        "signature.invalid": Call(**call, values={'"@method"': "POST"}),
        "signature.components": Call(**call, covers=('"@method"', '"@target-uri"')),
    }
    for code, made in refused.items():
        answer = made.send(shared_city.service.url)
        assert (answer.status, answer.code) == (401, code)
        assert answer.headers["www-authenticate"] == CHALLENGE, code
        assert "accept-signature" in answer.headers, code


def test_no_other_answer_is_a_challenge(shared_city: City) -> None:
    for first, status in (("GET /v1/status", 200), ("GET /v1/nothing", 404), ("GET /v1/read", 405)):
        answer = unsigned(shared_city, first)
        assert answer.status == status
        assert not {"www-authenticate", "accept-signature"} & answer.headers.keys()


def test_a_call_signed_as_the_challenge_says_is_answered(shared_city: City) -> None:
    """The challenge is enough: it has the components and the nonce; the signer adds the time and its key
    id."""
    key, base = shared_city.of(PLANNING).service, shared_city.service.url
    wanted = unsigned(shared_city, "GET /v1/requests").headers["accept-signature"].removeprefix("civic=")
    parameters = wanted.replace(";created;", f";created={int(time.time())};") + f';keyid="{key.key_id}"'
    digest = digest_of(b"")
    known = {"@method": "GET", "@target-uri": f"{base}/v1/requests", "content-digest": digest}
    lines = [f'"{name}": {value}' for name, value in (known | {"@signature-params": parameters}).items()]
    made = base64.b64encode(key.private.sign("\n".join(lines).encode())).decode()
    signed = (
        f"Content-Digest: {digest}",
        f"Signature-Input: civic={parameters}",
        f"Signature: civic=:{made}:",
    )
    assert unsigned(shared_city, "GET /v1/requests", *signed).status == 200
    again = unsigned(shared_city, "GET /v1/requests", *signed)
    assert (again.status, again.code) == (409, "call.replayed")


def test_two_challenges_do_not_have_the_same_nonce(shared_city: City) -> None:
    asked = [unsigned(shared_city, "GET /v1/requests").headers["accept-signature"] for _ in range(2)]
    assert len({hashlib.sha256(one.encode()).digest() for one in asked}) == 2
