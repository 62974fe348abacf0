"""A call is answered only under the service's own address, and every header that changes its effect is signed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import PLANNING
from api.protocol.http_signatures import AnswerMessage, RequestMessage, verify_answer
from api.sdk.transport import Transport
from tests.simulators.city import open_city
from tests.simulators.raw_http import Call, Reply, digest_of, read_body, send

JSON = ("Content-Type", "application/json")
ACCEPT = '"accept"'
KEY = '"idempotency-key"'
PLAIN = ('"@method"', '"@target-uri"', '"content-digest"')

Make = Callable[..., Call]


@pytest.fixture(scope="module")
def make(shared_city: City) -> Make:
    """A signed dry run, written by hand."""

    def made(**changes: Any) -> Call:
        given: dict[str, Any] = {"body": read_body(purpose=AIR_POLICY), "headers": (JSON,)}
        key = shared_city.of(PLANNING).service
        assert key is not None
        return Call(**({"key": key, "base": shared_city.service.url} | given | changes))

    return made


def code(city: City, call: Call) -> tuple[int, str]:
    answer = call.send(city.service.url)
    return answer.status, answer.code


def port_of(city: City) -> str:
    return city.service.url.rpartition(":")[2]


def test_handwritten_signed_call_is_answered(shared_city: City, make: Make) -> None:
    assert code(shared_city, make()) == (200, "")


def test_both_loopback_names_are_accepted(shared_city: City, make: Make) -> None:
    named = f"http://localhost:{port_of(shared_city)}"
    assert code(shared_city, make(base=named)) == (200, "")
    assert code(shared_city, make(host=(f"LOCALHOST:{port_of(shared_city)}",), base=named)) == (200, "")
    crossed = make(base=named, host=(f"127.0.0.1:{port_of(shared_city)}",))
    assert code(shared_city, crossed) == (401, "signature.invalid")


@pytest.mark.parametrize(
    "authority",
    ["other.example", "other.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.:{port}", "[::1]:{port}",
     "127.0.0.2:{port}", "127.1:{port}", "2130706433:{port}", "localhost.:{port}", "localhost.other.example:{port}"],
)  # fmt: skip
def test_a_call_signed_for_another_host_is_refused_there(
    shared_city: City, make: Make, authority: str
) -> None:
    base = f"http://{authority.format(port=port_of(shared_city))}"
    assert code(shared_city, make(base=base)) == (421, "request.misdirected")


@pytest.mark.parametrize(
    "host",
    ["", " ", "user@127.0.0.1:{port}", "127.0.0.1:0{port}", "127.0.0.1:", "127.0.0.1:{port}/", "127.0.0.1:{port}#",
     "127.0.0.1%3A{port}", "127.0.0.1:{port},127.0.0.1:{port}", "127.0.0.1:99999", "[::1", "[::g]:{port}"],
)  # fmt: skip
def test_malformed_host_is_refused(shared_city: City, make: Make, host: str) -> None:
    assert code(shared_city, make(host=(host.format(port=port_of(shared_city)),))) == (400, "request.host")


def test_a_request_has_one_host(shared_city: City, make: Make) -> None:
    own = shared_city.service.url.removeprefix("http://")
    for hosts in (("other.example", own), (own, "other.example"), (own, own)):
        assert code(shared_city, make(host=hosts)) == (400, "request.header-twice")
    assert code(shared_city, make(host=(), version="1.0")) == (400, "request.host")
    assert code(shared_city, make(version="1.0")) == (200, "")


def test_public_reads_are_refused_under_another_host_too(shared_city: City) -> None:
    url = f"{shared_city.service.url}/v1/status"
    refused = httpx.get(url, headers={"Host": "other.example"}, trust_env=False)
    assert (refused.status_code, refused.json()["code"]) == (421, "request.misdirected")
    asked = RequestMessage("GET", "http://other.example/v1/status", dict(refused.request.headers))
    verify_answer(AnswerMessage(421, dict(refused.headers), asked), shared_city.trust.gateway_key)


def test_forwarded_headers_are_not_read(shared_city: City, make: Make) -> None:
    forwarded = (
        JSON,
        ("X-Forwarded-Host", "other.example"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "host=other.example;proto=https"),
    )
    assert code(shared_city, make(headers=forwarded)) == (200, "")
    fake = make(base="http://other.example", host=(shared_city.service.url[7:],), headers=forwarded)
    assert code(shared_city, fake) == (401, "signature.invalid")


def test_the_address_in_the_request_target_is_the_services_own(shared_city: City, make: Make) -> None:
    own = shared_city.service.url
    assert code(shared_city, make(written=f"{own}/v1/read")) == (200, "")
    assert code(shared_city, make(written="http://other.example/v1/read")) == (421, "request.misdirected")
    secure = make(written=f"https{own[4:]}/v1/read")
    assert code(shared_city, secure) == (421, "request.misdirected")
    for target in (f"http://user@{own[7:]}/v1/read", f"{own}/v1/read#part", "/v1/read#part"):
        assert code(shared_city, make(written=target)) == (400, "request.target"), target
    assert make(method="OPTIONS", written="*").send(own).status == 400


def test_signature_covers_the_target_as_sent(shared_city: City, make: Make) -> None:
    """A path has several spellings; the signature covers the one that arrived."""
    assert code(shared_city, make(target="/v1/%72ead")) == (200, "")
    assert code(shared_city, make(target="/v1/%72ead", written="/v1/read")) == (401, "signature.invalid")
    assert code(shared_city, make(target="/v1/read?")) == (200, "")
    assert code(shared_city, make(target="/v1/read", written="/v1/read?")) == (401, "signature.invalid")
    assert code(shared_city, make(target="//v1/read")) == (404, "not-found.path")


def test_an_empty_query_does_not_break_the_answers_signature(shared_city: City) -> None:
    transport = Transport(shared_city.service.url, shared_city.trust.gateway_key)
    assert transport.call("GET", "/v1/status?").status == 200


def with_headers(make: Make, *headers: tuple[str, str], covers: tuple[str, ...] = (), **more: Any) -> Call:
    return make(headers=(JSON, *headers), covers=(*PLAIN, *covers), **more)


def test_accept_and_idempotency_key_are_signed_when_present(shared_city: City, make: Make) -> None:
    accept, key = ("Accept", "application/json"), ("Idempotency-Key", "the-first-call")
    assert code(shared_city, with_headers(make, accept)) == (401, "signature.components")
    assert code(shared_city, with_headers(make, key)) == (401, "signature.components")
    assert code(shared_city, with_headers(make, accept, key, covers=(ACCEPT,))) == (
        401,
        "signature.components",
    )
    assert code(shared_city, with_headers(make, accept, key, covers=(ACCEPT, KEY))) == (200, "")
    for covered, changed in ((ACCEPT, "text/csv"), (KEY, "another-call-1")):
        call = with_headers(make, accept, key, covers=(ACCEPT, KEY), values={covered: changed})
        assert code(shared_city, call) == (401, "signature.invalid")


@pytest.mark.parametrize("name", ["Accept", "Idempotency-Key", "Content-Type", "Content-Digest", "Signature"])
def test_header_that_affects_the_answer_is_refused_twice(shared_city: City, make: Make, name: str) -> None:
    call = make()
    value = dict(call.lines()).get(name, "application/json")
    call.headers = (*call.headers, (name, value), (name.lower(), value))
    assert code(shared_city, call) == (400, "request.header-twice")


def test_covered_component_is_present_once_without_parameters(shared_city: City, make: Make) -> None:
    accept = ("Accept", "application/json")
    value = {
        '"accept";sf': "application/json",
        '"accept";bs': ":YXBwbGljYXRpb24vanNvbg==:",
        '"accept";req': "x",
    }
    for written in value:
        call = with_headers(make, accept, covers=(written,), values=value)
        assert code(shared_city, call) == (401, "signature.components"), written
        both = with_headers(make, accept, covers=(ACCEPT, written), values=value)
        assert code(shared_city, both) == (401, "signature.components"), written
    twice = with_headers(make, accept, covers=(ACCEPT, ACCEPT))
    absent = with_headers(make, covers=(ACCEPT,), values={ACCEPT: ""})
    key = make(covers=('"@method"', '"@target-uri"', '"content-digest";key="sha-256"'),
               values={'"content-digest";key="sha-256"': digest_of(make().body).partition("=")[2]})  # fmt: skip
    for call in (twice, absent, key):
        assert code(shared_city, call) == (401, "signature.components")
    assert code(shared_city, make(covers=(*PLAIN, '"@authority"'))) == (200, "")


def test_one_signature_is_in_one_field(shared_city: City, make: Make) -> None:
    lines = make().lines()
    for name in ("Signature-Input", "Signature"):
        doubled = [(each, f"{value}, {value}" if each == name else value) for each, value in lines]
        assert raw(shared_city, make().body, doubled).code == "signature.multiple"
        other = [(each, value.replace("civic=", "evil=") if each == name else value) for each, value in lines]
        assert raw(shared_city, make().body, other).code == "signature.invalid"


def raw(city: City, body: bytes, lines: list[tuple[str, str]]) -> Reply:
    own = ("Host", city.service.url[7:])
    text = "\r\n".join(
        f"{name}: {value}" for name, value in [own, *lines, ("Content-Length", str(len(body)))]
    )
    return send(city.service.url, f"POST /v1/read HTTP/1.1\r\n{text}\r\n\r\n".encode() + body)


def test_a_digest_names_sha_256_among_others(shared_city: City, make: Make) -> None:
    good = digest_of(make().body)
    other = "sha-512=:" + "A" * 86 + "==:"
    for field in (f"{other}, {good}", f"{good},{other}", f"{good}, unixsum=30637"):
        assert code(shared_city, make(digest=(field,))) == (200, ""), field
    for field, expected in (
        (digest_of(b"other"), "digest.mismatch"),
        (f"{good}, {digest_of(b'other')}", "digest.malformed"),
        (other, "digest.algorithm"),
        ("", "digest.algorithm"),
        ("sha-256", "digest.malformed"),
        (good.replace(":", ""), "digest.malformed"),
        ("sha-256=:AAAA:", "digest.malformed"),
        ('sha-256="text"', "digest.malformed"),
    ):
        assert code(shared_city, make(digest=(field,))) == (400, expected), field


def test_signature_after_its_expires_is_stale(shared_city: City, make: Make) -> None:
    now = int(time.time())
    assert code(shared_city, make(parameters=f";expires={now + 60}")) == (200, "")
    assert code(shared_city, make(parameters=f";expires={now - 60}")) == (401, "signature.stale")
    assert code(shared_city, make(parameters=';expires="soon"')) == (401, "signature.malformed")


@pytest.mark.parametrize("written", ["00{0}", "0{0}", "+{0}", " {0}", "{0} ", "0x{0}", "urn:civic:dept:{0}"])
def test_a_key_id_has_one_spelling(shared_city: City, make: Make, written: str) -> None:
    key = shared_city.of(PLANNING).service
    assert key is not None
    spelled = make(key_id=f"{written.format(PLANNING.number)}:{key.public}")
    assert code(shared_city, spelled) == (401, "signature.unknown-key")
    shouted = make(key_id=f"{PLANNING.number}:{key.public.upper()}")
    assert code(shared_city, shouted) == (401, "signature.unknown-key")


def test_the_service_offers_no_page_that_needs_another_host(shared_city: City) -> None:
    base = shared_city.service.url
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert httpx.get(f"{base}{path}", trust_env=False).status_code == 404
    assert httpx.get(f"{base}/openapi.json", trust_env=False).json()["info"]["title"] == "Civic Ledger"


def test_behind_a_public_url_calls_are_signed_for_it_alone(home: Any) -> None:
    city = open_city(home, CIVIC_PUBLIC_URL="HTTPS://City.Example:443/")
    key = city.of(PLANNING).service
    assert key is not None
    own = city.service.url

    def tried(base: str, host: str) -> tuple[int, str]:
        return code(city, Call(key, base, body=read_body(purpose=AIR_POLICY), headers=(JSON,), host=(host,)))

    try:
        for host in ("city.example", "CITY.example:443", own[7:]):
            assert tried("https://city.example", host) == (200, ""), host
        for host in ("city.example:8443", "city.example.", "other.example", "city.example:80"):
            assert tried("https://city.example", host) == (421, "request.misdirected"), host
        assert tried(own, own[7:]) == (401, "signature.invalid")
        assert tried("http://city.example", "city.example") == (401, "signature.invalid")
    finally:
        city.service.stop()


@pytest.mark.parametrize("wait", [0.0, 0.3])
def test_trailers_are_not_read_as_headers(shared_city: City, make: Make, wait: float) -> None:
    """Trailers are not signed: a man in the middle could add them to a captured call."""
    call = make(body=read_body(purpose=AIR_POLICY, dry_run=False))
    head, _, body = call.bytes().partition(b"\r\n\r\n")
    chunked = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked") + b"\r\n\r\n"
    trailers = b"Accept: text/csv\r\nHost: other.example\r\n\r\n"
    end = b"%x\r\n%b\r\n0\r\n%b" % (len(body), body, trailers)
    answer = send(shared_city.service.url, chunked, end, wait=wait)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
