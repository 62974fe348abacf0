"""Authority for permits: a verifier with only the bundle finds permits that no entry of the chain allows."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.audit.keeping.export import export_bundle, export_tiles
from ledger.audit.log.log import AuditLog
from ledger.audit.log.writer import GroupCommit
from ledger.audit.verify import Verdict, verify_bundle
from ledger.audit.verify.tiles import verify_directory
from tests.ledger.audit.conftest import GRANT, START

KEY, OTHER, AUDITOR = "ab" * 32, "cd" * 32, "ef" * 32
DEAD = "0x" + "99" * 32
CHILD = "0x" + "77" * 32
OPEN = 2**40 - 1
LATER = START + timedelta(hours=2)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


class Town:
    """Appends the entries of a follower and a gateway."""

    def __init__(self, log: AuditLog, writer: GroupCommit, make: Any, folder: Path) -> None:
        self.log, self.writer, self.make, self.folder = log, writer, make, folder
        self.made = 0

    def entry(self, **values: Any) -> str:
        usual = {
            "grant": None,
            "candidates": (),
            "decision": None,
            "reasons": (),
            "service": None,
            "asset": None,
        }
        identity = uuid.uuid4()
        self.writer.append(self.make.entry(**{"id": identity, **usual, **values})).result()
        return str(identity)

    def chain(self, kind: str, *, grant: str | None = None, **facts: Any) -> str:
        return self.entry(type=f"chain:{kind}", grant=grant, facts=facts)

    def key(self, key: str, roles: int = 1, *, since: int = 0, until: int = OPEN) -> str:
        facts = {"arg.department": 5, "arg.key": "0x" + key, "arg.roles": roles}
        return self.chain("service-key:added", **facts, **{"arg.notBefore": since, "arg.notAfter": until})

    def removed(self, key: str) -> str:
        return self.chain("service-key:removed", **{"arg.department": 5, "arg.key": "0x" + key})

    def granted(self, grant: str = GRANT, parent: str = "0x" + "00" * 32) -> str:
        return self.chain("grant:granted", grant=grant, **{"arg.parent": parent})

    def permit(self, key: str = KEY, grant: str = GRANT, **more: Any) -> str:
        return self.entry(
            type="gateway:read:decided",
            decision="permit",
            service=f"5:{key}",
            grant=grant,
            candidates=(grant,),
            **more,
        )

    def look(self, key: str) -> str:
        return self.entry(type="auditor:log:search", service=f"5:{key}")

    def verdict(self) -> Verdict:
        self.made += 1
        path = self.folder / f"bundle-{self.made}"
        export_bundle(self.log, path)
        found = verify_bundle(path)
        again = self.folder / f"record-{self.made}"
        assert verify_bundle(path, resume=again).findings == found.findings
        assert verify_bundle(path, resume=again).findings == found.findings, (
            "nor does a resumed check miss it"
        )
        tiles = self.folder / f"tiles-{self.made}"
        export_tiles(self.log, tiles)
        codes = [finding.code for finding in verify_directory(tiles).findings]
        assert codes == [finding.code for finding in found.findings]
        return found

    def codes(self) -> list[tuple[str, int | None]]:
        return [(finding.code, finding.entry) for finding in self.verdict().findings]


@pytest.fixture
def town(log: AuditLog, writer: GroupCommit, make: Any, tmp_path: Path) -> Town:
    made = Town(log, writer, make, tmp_path)
    made.key(KEY)
    made.key(AUDITOR, 4)
    made.granted()
    made.permit()
    made.permit()
    made.look(AUDITOR)
    return made


def test_permit_allowed_by_the_chain_is_no_finding(town: Town) -> None:
    assert town.codes() == []


def test_permit_by_a_key_that_was_not_added_is_found(town: Town) -> None:
    town.permit(OTHER)
    assert town.codes() == [("authority.key", 6)]
    town.key(OTHER)
    assert town.codes() == [("authority.key", 6)], "an entry that comes later allows nothing before it"


def test_permit_by_a_removed_key_is_found_after_the_tolerance(town: Town) -> None:
    town.removed(KEY)
    town.permit()
    assert town.codes() == []
    town.permit(time=LATER)
    assert town.codes() == [("authority.key", 8)]


def test_permit_by_a_key_outside_its_term_is_found(town: Town) -> None:
    town.key(OTHER, since=int(START.timestamp()), until=int(START.timestamp()) + 60)
    town.permit(OTHER)
    town.permit(OTHER, time=LATER)
    assert town.codes() == [("authority.key", 8)]


def test_permit_under_a_missing_or_ended_grant_is_found(town: Town) -> None:
    town.permit(grant=DEAD)
    town.granted(CHILD, parent=GRANT)
    town.permit(grant=CHILD)
    town.chain("grant:revoked", grant=GRANT)
    town.permit(grant=CHILD, time=LATER)
    town.permit(time=LATER)
    assert town.codes() == [("authority.grant", 6), ("authority.grant", 10), ("authority.grant", 11)]


def test_permit_that_ignored_a_replacement_above_is_found(town: Town) -> None:
    town.granted(CHILD, parent=GRANT)
    town.granted(DEAD)
    town.chain("grant:replaced", grant=GRANT, **{"arg.by": DEAD})
    town.permit(grant=CHILD)  # on its way
    town.permit(grant=CHILD, time=LATER)
    town.permit(grant=CHILD, time=LATER, facts={"replaced": f"{GRANT}={CHILD}"})
    town.permit(grant=CHILD, time=LATER, facts={"replaced": f"{GRANT}={DEAD}"})
    assert town.codes() == [("authority.grant", 10), ("authority.grant", 11)]
    town.chain("grant:revoked", grant=DEAD)
    town.permit(grant=CHILD, time=LATER, facts={"replaced": f"{GRANT}={DEAD}"})
    assert [entry for _, entry in town.codes()] == [10, 11, 14], "what hangs below ends with the newer one"


def test_permit_under_an_ended_condition_is_found(town: Town) -> None:
    """A permit of a gateway that ignores conditions is found without the chain."""
    town.granted(CHILD, parent=GRANT)
    town.chain("condition:bound", grant=GRANT, **{"arg.condition": "3298534883329"})
    ended = town.chain("condition:ended", **{"arg.condition": "3298534883329"})
    town.permit(time=LATER)
    town.permit(grant=CHILD, time=LATER)
    assert town.codes() == [("authority.grant", 9), ("authority.grant", 10)]
    town.chain("reorg:reverted", reverts=ended)
    town.permit(time=LATER)
    assert town.codes() == [("authority.grant", 9), ("authority.grant", 10)]


def test_accepted_revocation_denies_again_after_its_block_is_reverted(town: Town) -> None:
    act = "0x" + "cd" * 32
    taken = {"taken_act": act, "message": "Revoke", "call": act, "denies.0": f"grant:{GRANT}"}
    town.entry(type="log:act:taken", facts=taken)
    revoked = town.chain("grant:revoked", grant=GRANT, act=act)
    town.chain("reorg:reverted", reverts=revoked)
    town.permit(time=LATER)
    assert [code for code, _ in town.codes()] == ["authority.taken"]


def test_permit_after_an_accepted_revocation_is_found(town: Town) -> None:
    """The grant and its descendants are denied from its entry on, until the chain accepts or refuses the
    act."""
    act = "0x" + "cd" * 32
    town.granted(CHILD, GRANT)
    town.permit(grant=CHILD)
    taken = {"taken_act": act, "message": "Revoke", "call": act, "denies.0": f"grant:{GRANT}"}
    town.entry(type="log:act:taken", facts=taken)
    town.permit(grant=CHILD)  # on its way
    town.permit(grant=CHILD, time=LATER)
    town.permit(time=LATER)
    verdict = town.verdict()
    assert [(one.code, one.entry) for one in verdict.findings] == [
        ("authority.taken", 10),
        ("authority.taken", 11),
    ]
    assert any("1 acts were taken" in line for line in verdict.remarks)
    town.entry(type="log:act:refused", facts={"refused_act": act, "code": "act.refused"})
    town.permit(time=LATER)
    assert [entry for _, entry in town.codes()] == [10, 11]


@pytest.mark.parametrize("proven", [True, False])
def test_an_epoch_is_said_to_be_proven_or_vouched_for(town: Town, proven: bool) -> None:
    town.chain("log:epoch-opened", **{"arg.lastSize": 4, "arg.proven": proven})
    (remark,) = [one for one in town.verdict().remarks if "epoch" in one]
    assert ("saw proven" in remark) is proven
    assert ("vouches" in remark) is not proven


def test_query_by_a_key_without_auditor_role_is_found(town: Town) -> None:
    town.look(KEY)
    town.look(OTHER)
    assert town.codes() == [("authority.role", 6), ("authority.key", 7)]


@pytest.mark.parametrize(
    ("roles", "reads"), [(0, False), (1, True), (2, False), (3, True), (4, False), (6, False)]
)
def test_only_a_key_with_the_role_reader_has_permits(town: Town, roles: int, reads: bool) -> None:
    town.key(OTHER, roles)
    town.permit(OTHER)
    assert town.codes() == ([] if reads else [("authority.role", 7)])


@pytest.mark.parametrize("what", ["key", "grant", "removal", "end"])
def test_reverted_event_has_no_effect_on_authority(town: Town, what: str) -> None:
    undone: dict[str, Callable[[], str]] = {
        "key": lambda: town.key(OTHER),
        "grant": lambda: town.granted(DEAD),
        "removal": lambda: town.removed(KEY),
        "end": lambda: town.chain("grant:revoked", grant=GRANT),
    }
    town.chain("reorg:reverted", reverts=undone[what]())
    town.permit(OTHER if what == "key" else KEY, DEAD if what == "grant" else GRANT, time=LATER)
    expected = {"key": [("authority.key", 8)], "grant": [("authority.grant", 8)]}
    assert town.codes() == expected.get(what, [])


def test_many_findings_are_counted(town: Town) -> None:
    for _ in range(25):
        town.permit(OTHER)
    verdict = town.verdict()
    assert len(verdict.findings) == 21
    assert "5 more" in verdict.findings[-1].message
