"""The service that an officer's command asks before a signature belongs to the operator: it may lie, not answer, or
never end.

It can show any name beside the numbers, marked as its own words; it cannot prevent the signature of a file.
"""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from api.cli.profile import Profile
from api.protocol.keystore import key_info
from api.sdk import published
from api.sdk.acts import ActDraft, read_act, write_act
from api.sdk.conditions import draft_end
from api.sdk.drafts import draft_revocation, draft_suspension
from api.sdk.memory import CheckpointMemory
from api.sdk.office_drafts import draft_service_key_removal
from ledger.audit.formats.checkpoint import sign_checkpoint
from ledger.audit.formats.note import Signer
from ledger.chain.limits import NOTHING
from ledger.ids import parse_asset
from tests.api.cli.conftest import Run
from tests.simulators.lying_service import LyingService

ASSET = "7.3"
CONDITION = "7.5"
GRANT = ActDraft(
    "Terms",
    {
        "asset": parse_asset(ASSET),
        "grantee": 9,
        "right": 2,
        "notBefore": 0,
        "expiry": 4_000_000_000,
        "maxUses": 5,
        "depth": 0,
        "termsHash": "0x" + "2b" * 32,
        "parent": NOTHING,
        "salt": 5,
        "deadline": 4_000_000_000,
    },
)
KnownCity = Callable[..., Callable[[str], Mapping[str, Any]]]
ODD: list[Any] = [None, True, [7], {"a": 1}]


@pytest.fixture
def liar(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> Iterator[LyingService]:
    with LyingService(lambda path: None) as service:
        document = json.loads(profile.trust_file.read_text())
        profile.trust_file.write_text(json.dumps(document | {"gateway_key": service.public}))
        monkeypatch.setenv("CIVIC_URL", service.url)
        yield service


@pytest.fixture
def act(tmp_path: Path, profile: Profile) -> Path:
    path = tmp_path / "act.json"
    write_act(path, draft_suspension(ASSET, "flood"))
    return path


def seat(profile: Profile, **more: Any) -> dict[str, Any]:
    return {
        "address": key_info(profile.keys / "wang.json").public,
        "roles": ["steward"],
        "status": "active",
        "held": False,
        "not_before": 0,
        "not_after": 4_000_000_000,
        "successor": None,
    } | more


@pytest.fixture
def known(profile: Profile, log_signer: Signer) -> KnownCity:
    """A service whose department 7 has Wang for its steward."""
    note = str(sign_checkpoint(log_signer, 1, b"\x01" * 32))

    def answers(name: object = "Water", **more: Any) -> Callable[[str], Mapping[str, Any]]:
        return _answers(profile, note, name, more)

    return answers


def _answers(
    profile: Profile, note: str, name: object, more: Mapping[str, Any]
) -> Callable[[str], Mapping[str, Any]]:
    council = {"epoch": 1, "members": [], "threshold": 1, "guardian": "0x" + "12" * 20} | more
    status = {"log": {"checkpoint": note, "keys": []}, "council": council}
    department = {
        "id": 7,
        "status": "active",
        "recovery": "0x" + "11" * 20,
        "profile": {"name": {"en": name}},
        "officers": [seat(profile)],
        "attest_keys": [],
        "service_keys": [],
    }
    dataset = {
        "holder": 7, "processor": 7, "operator": 7, "grade": "general", "metadata": {"title": {"en": name}},
    }  # fmt: skip

    grant = {
        "id": GRANT.id,
        "asset": ASSET,
        "grantee": 9,
        "parent": None,
        "kind": "terms",
        "right": "use",
        "status": "active",
        "uses_on_chain": 0,
        "terms": dict(GRANT.message),
    }

    def answers(path: str) -> Mapping[str, Any]:
        if path == "/v1/status":
            return status
        if path.startswith("/v1/datasets/"):
            return dataset | more
        if path.startswith("/v1/departments/"):
            return department | more
        if path.startswith("/v1/grants/"):
            return grant | more
        if path.startswith("/v1/conditions/"):
            return {"id": CONDITION, "kind": "case", "keeper": 7, "status": "open"} | more
        return {"items": [{"id": 7}], "next": None}

    return answers


def added(act: Path) -> int:
    return len(read_act(act).signatures)


def test_published_names_are_shown_with_their_source(
    run: Run, profile: Profile, known: KnownCity, liar: LyingService, act: Path
) -> None:
    liar.answers = known()
    done = run("sign", act)
    assert (done.code, added(act)) == (0, 1), done.err
    assert "dataset: 7.3 (Water)" in done.err
    assert "not checked" not in done.err
    assert "what stands in brackets behind a number is what the service says" in done.err


@pytest.mark.parametrize("member", ["id", "officers", "attest_keys", "service_keys", "holder", "grade", "metadata", "threshold", "members", "epoch"])  # fmt: skip
def test_malformed_answers_do_not_prevent_signing(
    run: Run, profile: Profile, known: KnownCity, liar: LyingService, tmp_path: Path, member: str
) -> None:
    """Refused by name, in words or with a signature: never a failure of the command."""
    for n, odd in enumerate(ODD):
        liar.answers = known(**{member: odd})
        path = tmp_path / f"{n}.json"
        write_act(path, draft_suspension(ASSET, "flood"))
        done = run("sign", path, "--json")
        codes = done.document.get("error", {}).get("code", "")
        assert added(path) == 1 or codes.startswith("act.signer-"), (odd, done.out)


@pytest.mark.parametrize("member", ["address", "roles", "status", "not_before", "not_after", "successor"])
def test_malformed_seats_do_not_prevent_signing(
    run: Run, profile: Profile, known: KnownCity, liar: LyingService, tmp_path: Path, member: str
) -> None:
    for n, odd in enumerate(ODD):
        liar.answers = known(officers=[seat(profile, **{member: odd})])
        path = tmp_path / f"{n}.json"
        write_act(path, draft_suspension(ASSET, "flood"))
        done = run("sign", path, "--json")
        codes = done.document.get("error", {}).get("code", "")
        assert added(path) == 1 or codes.startswith("act.signer-"), (odd, done.out)


@pytest.mark.parametrize("member", ["key", "roles", "not_before", "removed"])
def test_malformed_service_keys_do_not_prevent_signing(
    run: Run, known: KnownCity, liar: LyingService, tmp_path: Path, member: str
) -> None:
    key = {"key": "7a" * 32, "hpke": "7b" * 32, "roles": ["reader"], "not_before": 0, "removed": False}
    for n, odd in enumerate(ODD):
        liar.answers = known(service_keys=[key | {member: odd}])
        path = tmp_path / f"{n}.json"
        write_act(path, draft_service_key_removal(7, "7a" * 32, epoch=1))
        done = run("sign", path, "--json")
        codes = done.document.get("error", {}).get("code", "")
        assert added(path) == 1 or codes.startswith("act.signer-"), (odd, done.out)


@pytest.mark.parametrize("body", [b"[" * 5_000, b"7", b"{}", b"\xff", b'{"items": 7}', b'{"items": [{}]}'])
def test_unreadable_answers_do_not_prevent_signing(
    run: Run, liar: LyingService, act: Path, body: bytes
) -> None:
    liar.answers = lambda path: body
    done = run("sign", act)
    assert (done.code, added(act)) == (0, 1), done.err
    assert "whether the act needs this officer was not checked" in done.err


def test_endless_pages_are_stopped(
    run: Run,
    profile: Profile,
    known: KnownCity,
    liar: LyingService,
    act: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(published, "MOST_S", 0.3)
    numbers, honest = count(8), known()
    liar.answers = lambda path: (
        {**honest(path), "officers": []}
        if path.split("?")[0] != "/v1/departments"
        else {"items": [{"id": next(numbers)}], "next": str(next(numbers))}
    )
    began = time.monotonic()
    done = run("sign", act)
    assert (done.code, added(act)) == (0, 1), done.err
    assert "not checked" in done.err
    assert time.monotonic() - began < 5


def test_a_service_that_is_silent_is_asked_once(run: Run, liar: LyingService, act: Path) -> None:
    """Each query may take a minute to fail."""
    done = run("sign", act)
    assert (done.code, added(act)) == (0, 1), done.err
    assert len(liar.asked) == 1


def test_a_service_that_refuses_an_officer_is_not_asked(
    run: Run, profile: Profile, known: KnownCity, liar: LyingService, act: Path
) -> None:
    """The operator says that Wang is no officer; Wang signs a file for another way to the chain."""
    liar.answers = known(officers=[])
    refused = run("sign", act, "--json")
    assert (refused.error["code"], added(act)) == ("act.signer-unknown", 0)
    assert "--offline" in refused.error["hint"]
    liar.asked.clear()
    done = run("sign", act, "--offline")
    assert (done.code, added(act), liar.asked) == (0, 1, []), done.err
    assert "whether the act needs this officer was not checked" in done.err


def test_officer_can_sign_after_a_fork(
    run: Run, profile: Profile, known: KnownCity, liar: LyingService, act: Path
) -> None:
    """The operator has two logs under one key; the council's act against it is signed in a file."""
    memory = CheckpointMemory(profile.path / "state", profile.trust().log_key)
    memory._fork_file.parent.mkdir(parents=True, exist_ok=True)
    memory._fork_file.write_text("two heads")
    done = run("sign", act)
    assert (done.code, added(act), liar.asked) == (0, 1, []), done.err
    assert "[log.fork]" in done.err


@pytest.mark.parametrize("name", [
    "Water) - and nothing else", "Water\uff09 - and nothing else", "Water\u207e x", "Water\ufe5a x", "Water\u2769 x", "Water\u2e29 x",
    "Water\ufe36 x", "Water\nto department: 3", "Water\u2028x", "Water\u202e7.3", "W" * 3_000_000, {"a": 1}, [], 7,
])  # fmt: skip
def test_published_name_cannot_leave_its_brackets(
    run: Run, profile: Profile, known: KnownCity, liar: LyingService, act: Path, name: object
) -> None:
    liar.answers = known(name)
    done = run("sign", act)
    assert (done.code, added(act)) == (0, 1), done.err
    [line] = [one for one in done.err.splitlines() if one.startswith("  dataset: ")]
    assert line.startswith("  dataset: 7.3")
    inner = line.removeprefix("  dataset: 7.3")
    assert len(inner) < 120
    if inner:
        assert (inner[:2], inner[-1]) == (" (", ")")
        assert not any("PARENTHESIS" in unicodedata.name(one, "") for one in inner[2:-1])


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, "(dataset 7.3 Water, department 9)"),
        ({"asset": "7.4", "grantee": 2}, "(dataset 7.3 Water, department 9)"),
        ({"terms": dict(GRANT.message) | {"grantee": 2}}, ""),
        ({"terms": {}}, ""),
        ({"terms": {"grantee": []}}, ""),
        ({"kind": "emergency", "terms": {}}, "(emergency grant, dataset 7.3 Water, department 9)"),
    ],
    ids=["true", "members", "terms", "none", "odd", "emergency"],
)
def test_grant_is_named_from_the_terms_with_its_hash(
    run: Run, known: KnownCity, liar: LyingService, tmp_path: Path, told: Mapping[str, Any], said: str
) -> None:
    """The operator names another grant beside the hash, to make an officer end a different one."""
    path = tmp_path / "revoke.json"
    write_act(path, draft_revocation(GRANT.id))
    liar.answers = known(**told)
    done = run("sign", path)
    [line] = [one for one in done.err.splitlines() if one.startswith("  grant: ")]
    assert line == f"  grant: {GRANT.id} {said}".rstrip()


@pytest.mark.parametrize(
    "told", [{}, {"keeper": 3}, {"id": "3.5", "keeper": 3}], ids=["true", "keeper", "id"]
)
def test_a_condition_is_named_by_the_department_of_its_number(
    run: Run, known: KnownCity, liar: LyingService, tmp_path: Path, told: Mapping[str, Any]
) -> None:
    """The number that is signed says whose condition it is; the operator cannot give it to another department."""
    path = tmp_path / "close.json"
    write_act(path, draft_end(CONDITION, "closed"))
    liar.answers = known(**told)
    done = run("sign", path)
    [line] = [one for one in done.err.splitlines() if one.startswith("  condition: ")]
    assert line == "  condition: 7.5 (department 7, case)"
