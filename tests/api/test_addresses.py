"""Which addresses are the service's own: what the socket says, or the public URL, in one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.addresses import TARGET, asked_of
from api.runtime.settings import Settings, SettingsInvalid


def asked(host: str, server: str = "127.0.0.1", public: str = "") -> str:
    """The URL under which a request to this host is answered, or the code of its refusal."""
    scope = {
        "method": "GET",
        "server": (server, 8600),
        "headers": [(b"host", host.encode())],
        TARGET: b"/x",
    }
    found = asked_of(scope, public)
    return found.refusal.code if found.refusal else found.message.url


@pytest.mark.parametrize(
    ("server", "host", "expected"),
    [
        ("10.0.0.5", "10.0.0.5:8600", "http://10.0.0.5:8600/x"),  # listening on 0.0.0.0: where it arrived
        ("10.0.0.5", "localhost:8600", "request.misdirected"),
        ("10.0.0.5", "0.0.0.0:8600", "request.misdirected"),
        ("127.0.0.1", "0.0.0.0:8600", "request.misdirected"),
        ("127.0.0.2", "localhost:8600", "http://localhost:8600/x"),
        ("::1", "[::1]:8600", "http://[::1]:8600/x"),
        ("::1", "[0:0::0:1]:8600", "http://[::1]:8600/x"),
        ("::1", "localhost:8600", "http://localhost:8600/x"),
        ("::1", "127.0.0.1:8600", "request.misdirected"),
        ("::1", "::1:8600", "request.host"),
        ("::ffff:127.0.0.1", "127.0.0.1:8600", "http://127.0.0.1:8600/x"),
        ("::ffff:10.0.0.5", "[::ffff:10.0.0.5]:8600", "request.misdirected"),
        ("2001:db8::5", "[2001:DB8::5]:8600", "http://[2001:db8::5]:8600/x"),
        ("fe80::5%eth0", "[fe80::5%25eth0]:8600", "request.host"),
    ],
)
def test_the_address_where_a_connection_arrived_is_the_services(
    server: str, host: str, expected: str
) -> None:
    assert asked(host, server) == expected


@given(st.text(st.characters(max_codepoint=255), max_size=30))
def test_no_other_text_passes_for_the_host(host: str) -> None:
    own = host.strip(" \t").lower() in ("127.0.0.1:8600", "localhost:8600")
    assert asked(host.encode("latin-1").decode("latin-1")).startswith("http") == own


@pytest.mark.parametrize("url", ["https://gw.example", "HTTPS://GW.example:443", "https://gw.example/"])
def test_a_public_url_has_one_spelling(url: str) -> None:
    settings = Settings(public_url=url)
    assert settings.public_url == "https://gw.example"
    assert asked("gw.example", "10.0.0.5", settings.public_url) == "https://gw.example/x"
    assert asked("10.0.0.5:8600", "10.0.0.5", settings.public_url) == "https://gw.example/x"
    assert asked("gw.example:80", "10.0.0.5", settings.public_url) == "request.misdirected"


@pytest.mark.parametrize(
    "url",
    ["gw.example", "ftp://gw.example", "https://", "https://user@gw.example", "https://gw.example/civic",
     "https://gw.example?x", "https://gw.example/#x", "https://gw.example:0", "https://gw.example:99999",
     "https://[::g]", "https://gw example", "https://gw.example\n"],
)  # fmt: skip
def test_invalid_base_url_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="CIVIC_PUBLIC_URL"):
        Settings(public_url=url)
