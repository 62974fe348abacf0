"""Acts that go from officer to officer: shown in words, signed on each machine, written atomically."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path

import pytest

from api.cli.profile import Profile
from api.protocol.keystore import key_info
from api.protocol.trust import Trust
from api.sdk import drafts
from api.sdk.acts import ActDraft, domain_of, read_act, write_act
from api.sdk.drafts import (
    NewSeat,
    NewServiceKey,
    department_profile,
    document_hash,
    draft_admission,
    draft_suspension,
)
from ledger.acts.wording import describe
from ledger.chain.messages import digest, fields, type_names
from ledger.chain.signers import recover
from tests.api.cli.conftest import Run, demo_key

GRANT = "0x" + "ab" * 32


def signers(path: Path, trust: Trust) -> list[str]:
    """Who signed an act file, by the chain's own rules."""
    document = json.loads(path.read_text())
    said = digest(domain_of(trust, document["type"]), document["type"], document["message"])
    return [recover(said, bytes.fromhex(signature[2:])) for signature in document["signatures"]]


def test_a_saved_act_carries_the_officer_s_signature(
    run: Run, profile: Profile, trust: Trust, tmp_path: Path
) -> None:
    path = tmp_path / "revoke.json"
    saved = run("revoke", GRANT, "--reason", "purpose-ended", "--save", path, "--json")
    assert saved.code == 0
    assert signers(path, trust) == [key_info(profile.keys / "wang.json").public]
    message = read_act(path).message
    assert (message["grant"], message["reason"]) == (GRANT, 2)


def test_what_is_signed_is_shown_in_words_first(run: Run, profile: Profile, tmp_path: Path) -> None:
    said = run("revoke", GRANT, "--reason", "key-compromised", "--save", tmp_path / "act.json").err
    assert "Revoke a grant" in said
    assert GRANT in said
    assert "reason: key compromised" in said
    assert "may be handed in until" in said


def test_two_officers_sign_one_file(run: Run, profile: Profile, trust: Trust, tmp_path: Path) -> None:
    second = demo_key(profile, "cdo", "officer")
    path = tmp_path / "retire.json"
    run("dataset", "retire", "7.1", "--save", path)
    signed = run("sign", path, "--key", "cdo", "--json").document
    assert signed["added"] == 1
    assert signers(path, trust) == [key_info(profile.keys / "wang.json").public, second.public]
    assert {word["label"]: word["value"] for word in signed["words"]}["dataset"] == "7.1"


def test_signing_twice_adds_nothing(run: Run, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "act.json"
    run("revoke", GRANT, "--save", path)
    assert run("sign", path, "--json").document["added"] == 0


def test_a_file_is_never_overwritten(run: Run, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "act.json"
    path.write_text("mine")
    refused = run("revoke", GRANT, "--save", path, "--json")
    assert (refused.code, refused.error["code"]) == (1, "act.file")
    assert path.read_text() == "mine"


def test_a_wrong_passphrase_signs_nothing(
    run: Run, profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIC_PASSPHRASE", "wrong")
    path = tmp_path / "act.json"
    refused = run("revoke", GRANT, "--save", path, "--json")
    assert (refused.code, refused.error["code"]) == (1, "keystore.wrong-passphrase")
    assert not path.exists()


def test_a_service_key_signs_no_act(run: Run, profile: Profile, tmp_path: Path) -> None:
    refused = run("revoke", GRANT, "--key", "machine", "--save", tmp_path / "act.json", "--json")
    assert (refused.code, refused.error["code"]) == (1, "keystore.invalid")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "act.file"),
        ("[]", "act.file"),
        ('{"type": "Revoke", "message": {}, "extra": 1}', "act.file"),
        ('{"type": "Revoke", "message": {}, "signatures": ["0x12"]}', "act.file"),
        ('{"type": "Sell", "message": {}}', "act.unknown"),
        ('{"type": "Revoke", "message": {"grant": "0x12", "reason": 0, "deadline": 1}}', "act.message"),
    ],
)
def test_a_malformed_act_file_is_refused(
    run: Run, profile: Profile, tmp_path: Path, content: str, code: str
) -> None:
    path = tmp_path / "act.json"
    path.write_text(content)
    refused = run("sign", path, "--json")
    assert (refused.code, refused.error["code"]) == (1, code)
    assert path.read_text() == content


def test_an_unsigned_file_is_not_handed_in(run: Run, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "act.json"
    run("revoke", GRANT, "--save", path)
    document = json.loads(path.read_text()) | {"signatures": []}
    path.write_text(json.dumps(document))
    refused = run("submit", path, "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")


def test_unreachable_service_is_reported(run: Run, profile: Profile) -> None:
    refused = run("revoke", GRANT, "--json")
    assert (refused.code, refused.error["code"]) == (1, "client.unreachable")
    assert "civic serve" in refused.error["hint"]


def test_an_admission_names_what_each_signature_shows(
    run: Run, profile: Profile, trust: Trust, tmp_path: Path
) -> None:
    member = demo_key(profile, "member", "council")
    mayor = demo_key(profile, "mayor", "officer")
    robot = demo_key(profile, "robot", "attest")
    recovery = demo_key(profile, "recovery", "recovery")
    path = tmp_path / "admission.json"
    seats = [NewSeat(mayor.public, ("admin", "steward")), NewSeat(robot.public, ("attest",))]
    machine = NewServiceKey(key_info(profile.key_path("machine")).public)
    profile_of_9 = department_profile("环保局", "Environment")
    write_act(path, draft_admission(9, recovery.public, seats, [machine], profile=profile_of_9, epoch=1))
    signed = run("sign", path, "--key", "mayor", "--key", "member", "--key", "robot", "--json")
    assert signed.code == 0, signed.out
    draft = read_act(path)
    assert draft.signers(trust) == [mayor.public, member.public, robot.public]
    assert draft.message["recovery"] == recovery.public.lower()
    assert [seat["roles"] for seat in draft.message["seats"]] == [3, 256]
    assert draft.message["profile"] == document_hash(draft.documents[0])


def test_large_number_is_written_as_text(trust: Trust) -> None:
    draft = ActDraft("RetireAsset", {"asset": (9_000_000 << 40) | 1, "deadline": 1})
    written = draft.to_json()
    assert written["message"]["asset"] == str((9_000_000 << 40) | 1)
    assert ActDraft.from_json(json.loads(json.dumps(written))).digest(trust) == draft.digest(trust)


GRANT, NEWER = "0x" + "ab" * 32, "0x" + "cd" * 32


@pytest.mark.parametrize(
    ("command", "kind", "members"),
    [
        (("suspend", "7.12", "--reason", "r"), "SuspendAsset", {"asset": (7 << 40) | 12, "by": 1}),
        (("dataset", "lift", "7.12", "--reason", "r", "--by", "bureau"), "LiftAsset", {"by": 2}),
        (("replace", GRANT, "--by", NEWER), "ReplaceGrant", {"grant": GRANT, "by": NEWER}),
        (("correct-uses", GRANT, "--total", "3"), "CorrectUses", {"grant": GRANT, "total": 3}),
        (
            ("dataset", "renew-parent", "9.1", "7.12", "--under", NEWER),
            "RenewParent",
            {"asset": (9 << 40) | 1, "parent": (7 << 40) | 12, "under": NEWER},
        ),
        (
            ("department", "restore-privilege", 9, "--grant", GRANT, "--epoch", "2"),
            "RestorePrivilege",
            {"department": 9, "grants": [GRANT], "epoch": 2},
        ),
        (
            ("department", "cancel-recovery", "wang", GRANT, "--epoch", "2"),
            "CancelRecovery",
            {"recovery": GRANT, "epoch": 2},
        ),
        (
            (
                "council",
                "hand-over",
                "0x" + "12" * 20,
                "--freeze",
                "2040-01-01",
                "--at",
                "2040-01-02",
                "--epoch",
                "2",
            ),
            "HandOver",
            {
                "successor": "0x" + "12" * 20,
                "handOverAt": 2_209_075_200,
                "freezeAt": 2_208_988_800,
                "epoch": 2,
            },
        ),
        (("council", "call-off", GRANT, "--epoch", "1"), "CallOffHandOver", {"handOver": GRANT}),
    ],
)
def test_what_a_command_drafts(
    run: Run,
    profile: Profile,
    tmp_path: Path,
    command: tuple[object, ...],
    kind: str,
    members: dict[str, object],
) -> None:
    path = tmp_path / "act.json"
    said = run(*command, "--save", path, "--json")
    assert said.code == 0, said.out
    draft = read_act(path)
    assert draft.type == kind
    assert {name: draft.message[name] for name in members} == members
    assert draft.arguments.keys() == ({"from"} if kind == "CancelRecovery" else set())


def test_a_suspension_names_its_reason_by_hash(run: Run, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "act.json"
    run("suspend", "dept:9", "--reason", "a key was stolen", "--epoch", "1", "--save", path)
    draft = read_act(path)
    assert draft.type == "SuspendDepartment"
    assert draft.documents == ({"reason": "a key was stolen"},)
    assert draft.message["reason"] == document_hash({"reason": "a key was stolen"})


def test_the_agreement_behind_the_hash_is_shown_too(run: Run, profile: Profile, tmp_path: Path) -> None:
    said = run(
        *("grant", "7.12", "--to", "9", "--columns", "pm25,station", "--purpose", "dpv:PublicBenefit"),
        *("--until", "2027-01-01", "--uses", "3", "--transform", "station=mask:0:4", "--duty", "delete:P30D"),
        *("--where", '{"column": "station", "op": "eq", "value": "A1"}', "--save", tmp_path / "g.json"),
    ).err
    told = [line.strip() for line in said.splitlines()]
    assert "columns: pm25, station" in told
    assert any(
        line.startswith("purpose: dpv:PublicBenefit (Public Benefit) or something narrower (")
        for line in told
    )
    assert "time: before 2027-01-01T00:00:00Z" in told
    assert "uses: at most 3" in told
    assert any(line.startswith("duty: delete") and "P30D" in line for line in told)
    assert any(line.startswith("rows:") and '"A1"' in line for line in told)
    assert any(line.startswith("made less exact: station: masked by") and "last 4" in line for line in told)


def test_another_document_under_a_signed_hash_is_refused(run: Run, profile: Profile, tmp_path: Path) -> None:
    """The carrier of a file cannot show the next officer milder terms than the signed ones."""
    demo_key(profile, "cdo", "officer")
    path = tmp_path / "g.json"
    run(*("grant", "7.12", "--to", "9", "--columns", "pm25", "--until", "P30D", "--save", path))
    act = json.loads(path.read_text())
    act["documents"][0]["description"] = "only statistics"
    path.write_text(json.dumps(act))
    refused = run("sign", path, "--key", "cdo", "--json")
    assert (refused.code, refused.error["code"]) == (1, "act.document-unnamed")
    assert len(json.loads(path.read_text())["signatures"]) == 1


@pytest.mark.parametrize("kind", type_names())
def test_every_message_member_has_words(kind: str) -> None:
    """A member that is not shown could be signed without notice."""
    message = {member.name: _any(member.type) for member in fields(kind)}
    shown = describe(kind, message, "en")
    assert len(shown) >= len(message)
    assert all(label and value for label, value in shown)


def _any(kind: str) -> object:
    """Some value of a Solidity type."""
    if kind.endswith("[]"):
        return [_any(kind[:-2])]
    if kind in type_names():
        return {member.name: _any(member.type) for member in fields(kind)}
    if kind == "address":
        return "0x" + "1a" * 20
    if kind == "bytes32":
        return "0x" + "2b" * 32
    return {"string": "words", "bytes": "0x00", "bool": True}.get(kind, 1)


def test_drafts_require_the_councils_epoch() -> None:
    """Regression: a draft that named the first council by default was refused only after everybody had signed."""
    takes = {
        name: inspect.signature(getattr(drafts, name)).parameters["epoch"].default
        for name in drafts.__all__
        if name.startswith("draft_") and "epoch" in inspect.signature(getattr(drafts, name)).parameters
    }
    assert {name for name, default in takes.items() if default is not inspect.Parameter.empty} == {
        "draft_act",
        "draft_suspension",
    }
    with pytest.raises(ValueError, match="epoch"):
        draft_suspension(9, "a key was stolen")
    with pytest.raises(ValueError, match="epoch"):
        drafts.draft_act("CancelAdmission", {"admission": GRANT})


def test_a_new_epoch_is_saved_and_never_handed_in(run: Run, profile: Profile, tmp_path: Path) -> None:
    path, root = tmp_path / "epoch.json", "ab" * 32
    command = ("audit", "new-epoch", 1, "--size", 9, "--root", root, "--reason", "lost", "--epoch", 2)
    refused = run(*command, "--json")
    assert refused.code != 0
    assert "civic audit epoch --act" in refused.out
    run(*command, "--save", path)
    draft = read_act(path)
    origin = str(profile.trust().document["origin"])
    assert draft.type == "NewEpoch"
    assert draft.message["origin"] == "0x" + hashlib.sha256(origin.encode()).hexdigest()
    assert draft.message["newOrigin"] != draft.message["origin"]
    assert (draft.message["lastSize"], draft.message["lastRoot"]) == (9, "0x" + root)
    assert (draft.message["epoch"], draft.message["quorum"], draft.message["operator"]) == (2, 0, 1)


def test_meaningless_draft_is_refused_with_its_code(run: Run, profile: Profile) -> None:
    for line, expected in (
        (["draft", "Nonsense"], "act.unknown"),
        (["draft", "GrantBatch"], "act.message"),
        (["draft", "Ratify", "--set", "grant=rubbish"], "act.message"),
        (["draft", "Ratify", "--set", f"grant={GRANT}", "--argument", "more=1"], "act.message"),
        (["draft", "RevokeBatch", "--set", "grants=nothing"], "usage"),
        (["draft", "GrantBatch", "--message", "[]"], "usage"),
        (["draft", "Ratify", "--message", '{"grant": 1}', "--set", "grant=2"], "usage"),
    ):
        refused = run(*line, "--json")
        assert (refused.code > 0, refused.error["code"]) == (True, expected), line
