"""Wrong settings of retention and timestamps, and their errors before anything is served."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from api.runtime.settings import Home, HomeError, Settings
from api.runtime.timestamping import service_of
from api.runtime.upkeep import Retention, retention_of
from ledger.audit.formats.note import VerifierKey
from ledger.audit.keeping.retention import STANDARD, RetentionInvalid, profile_json
from ledger.errors import LedgerError
from tests.simulators.timestamp_authority import TimestampAuthority

KEYS = {
    kind: str(VerifierKey("witness.example", kind, bytes(length)))
    for kind, length in ((1, 32), (4, 32), (6, 1312))
}
"""A witness's key of each signature type; only type 4 can be checked here."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TimestampAuthority:
    return TimestampAuthority(tmp_path_factory.mktemp("clock") / "tsa")


def home_at(path: Path) -> Home:
    return Home(path, "demo", 1, {})


def opened(home: Path) -> None:
    """What a service does with these settings before it opens anything."""
    settings = Settings(home=home)
    retention_of(home_at(home), settings)
    service_of(settings)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("TIMESTAMP_ROOTS", None, "settings.timestamps"),
        ("TIMESTAMP_ROOTS", "/nowhere.pem", "settings.timestamps"),
        ("TIMESTAMP_ROOTS", "{here}/empty", "settings.timestamps"),
        ("TIMESTAMP_URL", None, "settings.timestamps"),
        ("TIMESTAMP_URL", "ftp://clock", "settings.timestamps"),
        ("TIMESTAMP_EVERY_S", "often", "settings.invalid"),
        ("WITNESSES", "{", "settings.invalid"),
        ("WITNESSES", '{"http://127.0.0.1:9": "no key"}', "settings.invalid"),
        ("WITNESSES", json.dumps({"127.0.0.1:9": KEYS[4]}), "settings.invalid"),
        ("WITNESSES", json.dumps({"http://127.0.0.1:9": KEYS[1]}), "settings.invalid"),
        ("WITNESSES", json.dumps({"http://127.0.0.1:9": KEYS[6]}), "settings.invalid"),
        ("RETENTION_FILE", "/nowhere.json", "home.invalid"),
        ("RETENTION_FILE", "{here}/empty", "audit.retention"),
    ],
)
def test_impossible_settings_are_refused(
    tmp_path: Path,
    authority: TimestampAuthority,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str | None,
    code: str,
) -> None:
    (tmp_path / "empty").write_text("")
    monkeypatch.setenv("CIVIC_TIMESTAMP_URL", "http://127.0.0.1:9/tsr")
    monkeypatch.setenv("CIVIC_TIMESTAMP_ROOTS", str(authority.root_file))
    opened(tmp_path)
    if value is None:
        monkeypatch.delenv(f"CIVIC_{name}")
    else:
        monkeypatch.setenv(f"CIVIC_{name}", value.replace("{here}", str(tmp_path)))
    with pytest.raises(LedgerError) as refused:
        opened(tmp_path)
    assert refused.value.code == code
    if code == "settings.invalid":
        assert name in refused.value.message.upper()


def test_without_the_extra_a_timestamp_service_is_refused(
    tmp_path: Path, authority: TimestampAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    assert service_of(Settings(home=tmp_path)) is None
    with pytest.raises(HomeError, match="not installed") as refused:
        service_of(Settings(home=tmp_path, timestamp_url="http://clock", timestamp_roots=authority.root_file))
    assert "civicledger[timestamps]" in refused.value.hint


def test_several_roots_may_be_given(tmp_path: Path, authority: TimestampAuthority) -> None:
    both = tmp_path / "roots.pem"
    both.write_bytes(authority.root.public_bytes(Encoding.PEM) * 2)
    service = service_of(Settings(home=tmp_path, timestamp_url="https://clock", timestamp_roots=both))
    assert service is not None
    assert len(service[1]) == 2


def test_the_profile_is_the_home_s_unless_another_is_named(tmp_path: Path) -> None:
    import json

    settings = Settings(home=tmp_path)
    assert retention_of(home_at(tmp_path), settings) == Retention(STANDARD, timedelta(days=30))
    shorter: dict[str, Any] = {
        "version": 1,
        "rules": [{"types": "", "openings_days": 200, "leaves_days": None}],
    }
    (tmp_path / "retention.json").write_text(json.dumps(shorter))
    assert profile_json(retention_of(home_at(tmp_path), settings).rules) == shorter
    for days, kept in ((0, timedelta(0)), (7, timedelta(days=7)), (None, None)):
        (tmp_path / "retention.json").write_text(json.dumps(shorter | {"files_days": days}))
        assert retention_of(home_at(tmp_path), settings).files == kept
    for wrong in (-1, 1.5, True, "7"):
        (tmp_path / "retention.json").write_text(json.dumps(shorter | {"files_days": wrong}))
        with pytest.raises(RetentionInvalid):
            retention_of(home_at(tmp_path), settings)
    named = tmp_path / "named.json"
    named.write_text(json.dumps(profile_json(STANDARD)))
    other = Settings(home=tmp_path, retention_file=named)
    assert retention_of(home_at(tmp_path), other) == Retention(STANDARD, timedelta(days=30))
