"""The signed message of an accepted act that no event of the chain names yet is in the bundle, and is
checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ledger.audit.formats.checkpoint import Checkpoint
from ledger.audit.formats.note import Note, unb64
from ledger.audit.keeping.export import export_bundle
from ledger.audit.verify import Verdict, verify_bundle
from ledger.audit.verify.acts import ACTS, MAX_ACT, act_line, acts_text
from ledger.audit.verify.strict import write_json
from ledger.grants.uses_in_log import UsesInLog
from ledger.lost.holds import register_log_facts
from ledger.lost.signed_acts import signed_acts
from ledger.outbox import ActNotifier

Lines = list[dict[str, Any]]
NO_REASON = {"reason": "0x" + "00" * 32}


@pytest.fixture
def told(city: Any) -> Any:
    """A city whose log is read for the denials of acts, as in the service."""
    register_log_facts(city.engine, UsesInLog(city.log))
    city.follow()
    return city


def settle(city: Any, *identities: str) -> list[Any]:
    notifier = ActNotifier(city.engine)
    with city.relayer(notifier, poll_s=0.01), city.follower(notifier=notifier, poll_s=0.01):
        return [notifier.wait(identity, 20) for identity in identities]


def suspension(city: Any, tools: Any, salt: int, *names: str) -> dict[str, Any]:
    """The same message for every signer."""
    act: dict[str, Any] = city.act(
        "SuspendAsset",
        {"asset": tools.AIR, "salt": salt, "deadline": city.now() + 3_600, **NO_REASON},
        *names,
    )
    return act


def exported(city: Any, path: Path, **options: Any) -> Path:
    export_bundle(city.log, path, acts=partial(signed_acts, city.log, city.deployment), **options)
    return path


def lines_of(bundle: Path) -> Lines:
    return [json.loads(line) for line in (bundle / ACTS).read_bytes().splitlines()]


def taken_entries(bundle: Path) -> dict[int, dict[str, Any]]:
    lines = b"".join(file.read_bytes() for file in sorted((bundle / "entries").iterdir())).splitlines()
    return {
        index: event for index, event in enumerate(map(json.loads, lines)) if event["type"] == "log:act:taken"
    }


def written(city: Any, bundle: Path, data: bytes) -> None:
    """Another acts file, signed by the log itself: only its lines reveal the difference."""
    (bundle / ACTS).write_bytes(data)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    last = Checkpoint(manifest["origin"], manifest["size"], unb64(manifest["root"], "root"))
    said = acts_text(last, sha256(data).digest())
    manifest["acts"] = str(Note(said, ()).with_signature(city.log.signer.sign(said)))
    (bundle / "manifest.json").write_bytes(write_json(manifest))


def code(verdict: Verdict) -> str:
    return verdict.findings[0].code if verdict.findings else verdict.word


def missing(verdict: Verdict) -> list[str]:
    return [remark for remark in verdict.remarks if remark.startswith("the signed messages of")]


def test_every_accepted_act_is_in_the_bundle(told: Any, tools: Any, tmp_path: Path) -> None:
    acts = {n: told.accept(suspension(told, tools, n, "7:steward")).id for n in (1, 2)}
    first = told.log.checkpoint()
    settled = settle(told, *acts.values())
    assert [one.state for one in settled] == ["recorded", "failed"], "what is suspended is suspended once"
    waiting = told.accept(
        told.act("SuspendDepartment", {"department": 9, "salt": 1, **NO_REASON}, "9:admin")
    ).id
    bundle = exported(told, tmp_path / "bundle")
    verdict = verify_bundle(bundle)
    assert (verdict.findings, missing(verdict)) == ((), [])
    taken = {event["facts"]["taken_act"]: index for index, event in taken_entries(bundle).items()}
    assert set(taken) == {*acts.values(), waiting}
    found = {line["act"]: line["entry"] for line in lines_of(bundle)[1:]}
    assert {act: found[act] for act in (acts[2], waiting)} == {act: taken[act] for act in (acts[2], waiting)}
    assert found[acts[1]] > taken[acts[1]], "what the chain recorded stands at the entry of its event"
    older = exported(told, tmp_path / "older", checkpoint=first)
    assert missing(verify_bundle(older)) == [], "a bundle of the time when both were on their way"
    assert {line["act"] for line in lines_of(older)[1:]} >= set(acts.values())


def test_act_accepted_twice_has_its_last_signatures(told: Any, tools: Any, tmp_path: Path) -> None:
    """It failed, and was submitted again with the signature of another officer."""
    identity = told.accept(suspension(told, tools, 1, "7:steward")).id
    with told.engine.begin() as connection:
        connection.execute(text("UPDATE outbox_act SET state = 'failed'"))
    assert told.accept(suspension(told, tools, 1, "7:cdo")).id == identity
    bundle = exported(told, tmp_path / "bundle")
    verdict = verify_bundle(bundle)
    assert (verdict.findings, missing(verdict)) == ((), [])
    assert lines_of(bundle)[-1]["entry"] == max(taken_entries(bundle))
    settle(told, identity)
    assert verify_bundle(exported(told, tmp_path / "recorded")).findings == ()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE outbox_act SET signatures = replace(signatures, '0x', '0x0')",
        "UPDATE outbox_act SET message = '{}'",
        "UPDATE outbox_act SET arguments = '{\"chain\": []}'",
        "DELETE FROM outbox_act",
    ],
)
def test_changed_act_row_is_omitted_and_reported_missing(
    told: Any, tools: Any, tmp_path: Path, edit: str
) -> None:
    told.accept(suspension(told, tools, 1, "7:steward"))
    before = missing(verify_bundle(exported(told, tmp_path / "before")))
    with told.engine.begin() as connection:
        connection.execute(text(edit))
    verdict = verify_bundle(exported(told, tmp_path / "bundle"))
    assert verdict.findings == ()
    assert (before, len(missing(verdict))) == ([], 1)


def test_bundles_of_earlier_versions_are_valid(told: Any, tools: Any, tmp_path: Path) -> None:
    """A bundle without acts, and one with only those that an event names."""
    told.accept(suspension(told, tools, 1, "7:steward"))
    bundle = exported(told, tmp_path / "bundle")
    without = [line for line in lines_of(bundle) if line.get("entry") not in taken_entries(bundle)]
    written(told, bundle, b"".join(map(act_line, without)))
    verdict = verify_bundle(bundle)
    assert (verdict.findings, len(missing(verdict))) == ((), 1)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    del manifest["acts"]
    (bundle / "manifest.json").write_bytes(write_json(manifest))
    (bundle / ACTS).unlink()
    verdict = verify_bundle(bundle)
    assert (verdict.findings, len(missing(verdict))) == ((), 1)


def _signature(line: dict[str, Any]) -> None:
    slot = next(iter(line["signatures"]))
    old = line["signatures"][slot][0]
    line["signatures"][slot][0] = old[:10] + ("0" if old[10] != "0" else "1") + old[11:]


def _both(lines: Lines, name: str) -> None:
    lines[-1][name], lines[-2][name] = lines[-2][name], lines[-1][name]


FORGED: dict[str, tuple[Callable[[Lines], Any], str]] = {
    "a wrong signature": (lambda ls: _signature(ls[-1]), "acts.signature"),
    "another act's signature": (lambda ls: _both(ls, "signatures"), "acts.signature"),
    "no signature": (lambda ls: ls[-1].update(signatures={}), "acts.signature"),
    "a signature twice": (
        lambda ls: ls[-1]["signatures"].update(more=next(iter(ls[-1]["signatures"].values()))), "acts.changed"
    ),
    "a signature in another slot": (
        lambda ls: ls[-1].update(signatures={"other": next(iter(ls[-1]["signatures"].values()))}), "acts.changed"
    ),
    "another act's message": (lambda ls: _both(ls, "message"), "acts.changed"),
    "another act's name": (lambda ls: _both(ls, "act"), "acts.foreign"),
    "another act's entry": (lambda ls: ls[-1].update(entry=ls[-2]["entry"]), "acts.repeated"),
    "the entry before its own": (lambda ls: ls[-2].update(entry=ls[-2]["entry"] - 1), "acts.foreign"),
    "another deadline": (lambda ls: ls[-1]["message"].update(deadline=1), "acts.changed"),
    "call data that was not taken": (lambda ls: ls[-1].update(arguments={"chain": []}), "acts.changed"),
    "an act twice": (lambda ls: ls.append(dict(ls[-1])), "acts.repeated"),
    "a member too many": (lambda ls: ls[-1].update(more=1), "bundle.malformed"),
    "a member of the message too many": (lambda ls: ls[-1]["message"].update(more=1), "acts.changed"),
    "a member too few": (lambda ls: ls[-1].pop("arguments"), "bundle.malformed"),
    "a line that is too long": (lambda ls: ls[-1].update(arguments={"more": "x" * MAX_ACT}), "bundle.malformed"),
}  # fmt: skip


def test_forged_act_is_named_even_with_the_logs_signature(told: Any, tools: Any, tmp_path: Path) -> None:
    for salt in (1, 2):
        told.accept(suspension(told, tools, salt, "7:steward"))
    bundle = exported(told, tmp_path / "bundle")
    honest = (bundle / ACTS).read_bytes()
    assert len(taken_entries(bundle)) == 2
    for how, (change, expected) in FORGED.items():
        lines = [json.loads(line) for line in honest.splitlines()]
        change(lines)
        data = b"".join(map(act_line, lines))
        (bundle / ACTS).write_bytes(data)
        assert code(verify_bundle(bundle)) == expected, f"{how}, by a stranger"
        written(told, bundle, data)
        assert code(verify_bundle(bundle)) == expected, f"{how}, by who holds the log's key"
        written(told, bundle, honest)
    assert verify_bundle(bundle).ok


def test_other_valid_signature_of_the_same_officer_is_refused(told: Any, tools: Any, tmp_path: Path) -> None:
    """Both spellings of one signature are valid; the entry names the call that contains one of them."""
    told.accept(suspension(told, tools, 1, "7:steward"))
    bundle = exported(told, tmp_path / "bundle")
    lines = lines_of(bundle)
    slot = next(iter(lines[-1]["signatures"]))
    raw = bytes.fromhex(lines[-1]["signatures"][slot][0][2:])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    other = raw[:32] + (order - int.from_bytes(raw[32:64])).to_bytes(32) + bytes([55 - raw[64]])
    lines[-1]["signatures"][slot] = ["0x" + other.hex()]
    written(told, bundle, b"".join(map(act_line, lines)))
    assert code(verify_bundle(bundle)) in ("acts.changed", "acts.signature")
