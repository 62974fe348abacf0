"""A person's own files: the profile, key files, passphrases. Nothing is overwritten, nothing is guessed."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from api.cli.profile import Profile
from api.protocol.keystore import open_ed25519, open_secp256k1
from ledger.chain.signers import address_of
from tests.api.cli.conftest import PASSPHRASE, Run


def test_a_profile_is_made_from_a_trust_file_and_shown(run: Run, tmp_path: Path, trust_file: Path) -> None:
    place = tmp_path / "li"
    options = ("--url", "http://127.0.0.1:8600", "--department", 9, "--trust", trust_file, "--profile", place)
    made = run("profile", "init", *options, "--name", "Li", "--officer", "li", "--json")
    assert made.code == 0
    shown = run("profile", "show", "--profile", place, "--json").document
    assert (shown["department"], shown["url"], shown["officer"]) == (9, "http://127.0.0.1:8600", "li")
    assert shown["chain_id"] == json.loads(trust_file.read_text())["chain_id"]
    assert (place / "trust.json").read_bytes() == trust_file.read_bytes()


def test_pinned_trust_file_is_not_replaced(run: Run, profile: Profile, trust_file: Path) -> None:
    before = profile.trust_file.read_bytes()
    again = run(
        "profile", "init", "--url", "http://elsewhere", "--department", 9, "--trust", trust_file, "--json"
    )
    assert (again.code, again.error["code"]) == (1, "profile.invalid")
    assert profile.trust_file.read_bytes() == before
    assert json.loads((profile.path / "profile.json").read_text())["url"] == profile.url


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "profile.invalid"),
        ("[]", "profile.invalid"),
        ('{"url": "x"}', "profile.invalid"),
        ('{"url": 1, "department": 7, "name": ""}', "profile.invalid"),
    ],
)
def test_damaged_profile_is_refused_with_a_code(run: Run, profile: Profile, content: str, code: str) -> None:
    (profile.path / "profile.json").write_text(content)
    refused = run("keys", "list", "--json")
    assert (refused.code, refused.error["code"]) == (1, code)


def test_without_a_profile_the_hint_says_how_to_name_one(run: Run) -> None:
    refused = run("grants", "list", "--json")
    assert refused.code == 1
    assert "--profile" in refused.error["hint"]


def test_key_is_created_once_and_opens_with_its_passphrase(
    run: Run, profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    drawn = run("keys", "new", "zhao", "--kind", "officer", "--passphrase-file", secret, "--json").document
    path = Path(drawn["file"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert address_of(open_secp256k1(path, "correct horse")) == drawn["public"]
    monkeypatch.setenv("CIVIC_PASSPHRASE", "another")
    again = run("keys", "new", "zhao", "--kind", "service", "--json")
    assert (again.code, again.error["code"]) == (1, "keystore.invalid")
    assert address_of(open_secp256k1(path, "correct horse")) == drawn["public"]


def test_service_key_may_be_outside_the_profile(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIC_PASSPHRASE", "swordfish")
    place = tmp_path / "robot.json"
    drawn = run("keys", "new", place, "--kind", "service", "--json").document
    assert open_ed25519(place, "swordfish").public_key().public_bytes_raw().hex() == drawn["public"]
    assert run("keys", "show", place, "--json").document["public"] == drawn["public"]


def test_no_key_is_created_without_passphrase_and_terminal(run: Run, profile: Profile) -> None:
    refused = run("keys", "new", "zhao", "--kind", "officer", "--json")
    assert (refused.code, refused.error["code"]) == (1, "keystore.no-passphrase")
    assert not (profile.keys / "zhao.json").exists()


def test_an_unknown_kind_of_key_is_a_usage_error(run: Run, profile: Profile) -> None:
    refused = run("keys", "new", "zhao", "--kind", "skeleton", "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")
    assert "officer" in refused.error["hint"]


def test_the_list_names_damaged_files_instead_of_stopping(run: Run, profile: Profile) -> None:
    (profile.keys / "broken.json").write_text("not a key")
    listed = run("keys", "list", "--json").document["keys"]
    assert {key["name"]: key.get("error") for key in listed} == {
        "broken": "keystore.invalid",
        "machine": None,
        "wang": None,
    }
    assert "broken" in run("keys", "list").out


def test_a_demo_passphrase_opens_only_keys_that_are_a_demo_s(
    run: Run, profile: Profile, tmp_path: Path
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE)
    run("keys", "new", "real", "--kind", "officer", "--passphrase-file", secret)
    saved = tmp_path / "act.json"
    refused = run("suspend", "7.1", "--reason", "leak", "--key", "real", "--save", saved, "--json")
    assert (refused.code, refused.error["code"]) == (1, "keystore.no-passphrase")
    assert not saved.exists()
