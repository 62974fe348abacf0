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


class CityLog:
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
def city_log(log: AuditLog, writer: GroupCommit, make: Any, tmp_path: Path) -> CityLog:
    made = CityLog(log, writer, make, tmp_path)
    made.key(KEY)
    made.key(AUDITOR, 4)
    made.granted()
    made.permit()
    made.permit()
    made.look(AUDITOR)
    return made


def test_permit_allowed_by_the_chain_is_no_finding(city_log: CityLog) -> None:
    assert city_log.codes() == []


def test_permit_by_a_key_that_was_not_added_is_found(city_log: CityLog) -> None:
    city_log.permit(OTHER)
    assert city_log.codes() == [("authority.key", 6)]
    city_log.key(OTHER)
    assert city_log.codes() == [("authority.key", 6)], "an entry that comes later allows nothing before it"


def test_permit_by_a_removed_key_is_found_after_the_tolerance(city_log: CityLog) -> None:
    city_log.removed(KEY)
    city_log.permit()
    assert city_log.codes() == []
    city_log.permit(time=LATER)
    assert city_log.codes() == [("authority.key", 8)]


def test_permit_by_a_key_outside_its_term_is_found(city_log: CityLog) -> None:
    city_log.key(OTHER, since=int(START.timestamp()), until=int(START.timestamp()) + 60)
    city_log.permit(OTHER)
    city_log.permit(OTHER, time=LATER)
    assert city_log.codes() == [("authority.key", 8)]


def test_permit_under_a_missing_or_ended_grant_is_found(city_log: CityLog) -> None:
    city_log.permit(grant=DEAD)
    city_log.granted(CHILD, parent=GRANT)
    city_log.permit(grant=CHILD)
    city_log.chain("grant:revoked", grant=GRANT)
    city_log.permit(grant=CHILD, time=LATER)
    city_log.permit(time=LATER)
    assert city_log.codes() == [("authority.grant", 6), ("authority.grant", 10), ("authority.grant", 11)]


def test_permit_that_ignored_a_replacement_above_is_found(city_log: CityLog) -> None:
    city_log.granted(CHILD, parent=GRANT)
    city_log.granted(DEAD)
    city_log.chain("grant:replaced", grant=GRANT, **{"arg.by": DEAD})
    city_log.permit(grant=CHILD)  # on its way
    city_log.permit(grant=CHILD, time=LATER)
    city_log.permit(grant=CHILD, time=LATER, facts={"replaced": f"{GRANT}={CHILD}"})
    city_log.permit(grant=CHILD, time=LATER, facts={"replaced": f"{GRANT}={DEAD}"})
    assert city_log.codes() == [("authority.grant", 10), ("authority.grant", 11)]
    city_log.chain("grant:revoked", grant=DEAD)
    city_log.permit(grant=CHILD, time=LATER, facts={"replaced": f"{GRANT}={DEAD}"})
    assert [entry for _, entry in city_log.codes()] == [10, 11, 14], (
        "what hangs below ends with the newer one"
    )


def test_permit_under_an_ended_condition_is_found(city_log: CityLog) -> None:
    """A permit of a gateway that ignores conditions is found without the chain."""
    city_log.granted(CHILD, parent=GRANT)
    city_log.chain("condition:bound", grant=GRANT, **{"arg.condition": "3298534883329"})
    ended = city_log.chain("condition:ended", **{"arg.condition": "3298534883329"})
    city_log.permit(time=LATER)
    city_log.permit(grant=CHILD, time=LATER)
    assert city_log.codes() == [("authority.grant", 9), ("authority.grant", 10)]
    city_log.chain("reorg:reverted", reverts=ended)
    city_log.permit(time=LATER)
    assert city_log.codes() == [("authority.grant", 9), ("authority.grant", 10)]


def test_accepted_revocation_denies_again_after_its_block_is_reverted(city_log: CityLog) -> None:
    act = "0x" + "cd" * 32
    taken = {"taken_act": act, "message": "Revoke", "call": act, "denies.0": f"grant:{GRANT}"}
    city_log.entry(type="log:act:taken", facts=taken)
    revoked = city_log.chain("grant:revoked", grant=GRANT, act=act)
    city_log.chain("reorg:reverted", reverts=revoked)
    city_log.permit(time=LATER)
    assert [code for code, _ in city_log.codes()] == ["authority.taken"]


def test_permit_after_an_accepted_revocation_is_found(city_log: CityLog) -> None:
    """The grant and its descendants are denied from its entry on, until the chain accepts or refuses the
    act."""
    act = "0x" + "cd" * 32
    city_log.granted(CHILD, GRANT)
    city_log.permit(grant=CHILD)
    taken = {"taken_act": act, "message": "Revoke", "call": act, "denies.0": f"grant:{GRANT}"}
    city_log.entry(type="log:act:taken", facts=taken)
    city_log.permit(grant=CHILD)  # on its way
    city_log.permit(grant=CHILD, time=LATER)
    city_log.permit(time=LATER)
    verdict = city_log.verdict()
    assert [(one.code, one.entry) for one in verdict.findings] == [
        ("authority.taken", 10),
        ("authority.taken", 11),
    ]
    assert any("1 acts were taken" in line for line in verdict.remarks)
    city_log.entry(type="log:act:refused", facts={"refused_act": act, "code": "act.refused"})
    city_log.permit(time=LATER)
    assert [entry for _, entry in city_log.codes()] == [10, 11]


@pytest.mark.parametrize("proven", [True, False])
def test_an_epoch_is_said_to_be_proven_or_vouched_for(city_log: CityLog, proven: bool) -> None:
    city_log.chain("log:epoch-opened", **{"arg.lastSize": 4, "arg.proven": proven})
    (remark,) = [one for one in city_log.verdict().remarks if "epoch" in one]
    assert ("saw proven" in remark) is proven
    assert ("vouches" in remark) is not proven


def test_query_by_a_key_without_auditor_role_is_found(city_log: CityLog) -> None:
    city_log.look(KEY)
    city_log.look(OTHER)
    assert city_log.codes() == [("authority.role", 6), ("authority.key", 7)]


@pytest.mark.parametrize(
    ("roles", "reads"), [(0, False), (1, True), (2, False), (3, True), (4, False), (6, False)]
)
def test_only_a_key_with_the_role_reader_has_permits(city_log: CityLog, roles: int, reads: bool) -> None:
    city_log.key(OTHER, roles)
    city_log.permit(OTHER)
    assert city_log.codes() == ([] if reads else [("authority.role", 7)])


@pytest.mark.parametrize("what", ["key", "grant", "removal", "end"])
def test_reverted_event_has_no_effect_on_authority(city_log: CityLog, what: str) -> None:
    undone: dict[str, Callable[[], str]] = {
        "key": lambda: city_log.key(OTHER),
        "grant": lambda: city_log.granted(DEAD),
        "removal": lambda: city_log.removed(KEY),
        "end": lambda: city_log.chain("grant:revoked", grant=GRANT),
    }
    city_log.chain("reorg:reverted", reverts=undone[what]())
    city_log.permit(OTHER if what == "key" else KEY, DEAD if what == "grant" else GRANT, time=LATER)
    expected = {"key": [("authority.key", 8)], "grant": [("authority.grant", 8)]}
    assert city_log.codes() == expected.get(what, [])


def test_many_findings_are_counted(city_log: CityLog) -> None:
    for _ in range(25):
        city_log.permit(OTHER)
    verdict = city_log.verdict()
    assert len(verdict.findings) == 21
    assert "5 more" in verdict.findings[-1].message
