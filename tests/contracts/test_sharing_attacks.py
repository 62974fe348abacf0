"""Attacks between two honest acts: late submission, repeated items, evasion of a removal, direct calls of the
parts."""

from __future__ import annotations

import pytest
from contracts_harness import (
    ADMIN,
    CORE,
    DAY,
    HOUR,
    IMPORTANT,
    STEWARD,
    ZERO,
    City,
    Contract,
    Key,
    keccak,
    refused,
    struct_hash,
)

from .anchoring import Anchoring, origin_of
from .rfc6962 import entries
from .settling import SHORTEST_WINDOW, Settling, line

# ---- Submitted late, after the state has changed ---------------------------------------------------------------


def test_a_withheld_grant_meets_the_quorum_of_the_day_it_is_sent(city: City) -> None:
    """Signed while the asset was general; the grade was raised before the relayer sent it."""
    one, asset = city.departments[1], city.asset_id(1, 1)
    terms = city.terms(asset, 2)
    signed = city.quorum("Terms", terms, 1)
    city.joint("reclassify", "Reclassify", one.cdo, **{"asset": asset, "class": IMPORTANT, "sharing": 2})
    with refused("SignatureCount"):
        city.send("grant", terms, signed)
    city.send("grant", terms, city.quorum("Terms", terms, 1, IMPORTANT))


def test_signatures_of_a_replaced_council_are_void(city: City) -> None:
    lift = city.message("LiftDepartment", department=3, reason=ZERO)
    signed = city.council("LiftDepartment", lift)
    city.joint("suspendDepartment", "SuspendDepartment", city.departments[3].admin, department=3, reason=ZERO)
    new = [Key(f"next council {i}") for i in range(2)]
    message = city.message(
        "ReplaceCouncil",
        members=[key.address for key in new],
        threshold=2,
        guardian=city.guardian.address,
        epoch=2,
    )
    kind = "ReplaceCouncil"
    city.send("replaceCouncil", message, city.council(kind, message), city.sign(kind, message, *new))
    # Also if the same people stay: they signed for the former council.
    for signatures in (signed, city.sign("LiftDepartment", lift, *new)):
        with refused("EpochWrong"):
            city.send("liftDepartment", lift, signatures)
    lift = {**lift, "epoch": 2}
    city.send("liftDepartment", lift, city.sign("LiftDepartment", lift, *new))


def test_a_co_signer_must_be_active_when_it_is_sent(city: City) -> None:
    """A bureau, or a ratifier, whose department was suspended after it signed."""
    terms = city.terms(city.asset_id(1, CORE), 2)
    one, three = city.departments[1], city.departments[3]
    signed = city.sign("Terms", terms, one.steward, one.cdo, three.bureau)
    glass = city.joint(
        "breakGlass",
        "BreakGlass",
        city.departments[2].emergency,
        asset=city.asset_id(1, 1),
        grantee=2,
        reasonHash=ZERO,
        until=city.now + HOUR,
    ).only("GlassBroken")["grant"]
    city.joint("suspendDepartment", "SuspendDepartment", three.admin, department=3, reason=ZERO)
    with refused("DepartmentNotActive"):
        city.send("grant", terms, signed)
    with refused("DepartmentNotActive"):
        city.sole("ratify", "Ratify", three.oversight, grant=glass)
    city.sole("ratify", "Ratify", one.oversight, grant=glass)


# ---- Repeated --------------------------------------------------------------------------------------------------


def test_a_grant_named_twice_in_a_batch_of_uses_is_two_totals(city: City) -> None:
    one, grant = city.departments[1], city.grant(city.terms(city.asset_id(1, 1), 2))
    for totals, last in (((3, 3), 3), ((3, 2), 3), ((3, 101), 3), ((3, 100), 100)):
        with city.chain.rewound():
            uses = [{"grant": grant, "total": total} for total in totals]
            city.sole("useBatch", "UseBatch", one.attest, uses=uses, logHead=ZERO)
            assert city.call("grantOf", grant)["uses"] == last


def test_a_delegation_counts_what_was_used_and_what_was_passed_on(city: City) -> None:
    """100 uses: 40 used, 50 passed on; 11 more are refused, 10 are not, and then the parent is spent."""
    one = city.departments[1]
    parent = city.terms(city.asset_id(1, 1), 2, depth=1)
    identifier = city.grant(parent)
    city.use(identifier, 40, one.attest)

    def child(uses: int) -> dict[str, object]:
        return {**parent, "grantee": 3, "depth": 0, "parent": identifier, "maxUses": uses, "salt": uses}

    city.delegate(child(50), [parent])
    with refused("WiderThanParent"):
        city.delegate(child(11), [parent])
    city.delegate(child(10), [parent])
    with refused("UsesExhausted"):
        city.use(identifier, 41, one.attest)


# ---- Evasion ---------------------------------------------------------------------------------------------------


def recovering(city: City, to: Key) -> None:
    one = city.departments[1]
    message = city.message("Recover", **{"department": 1, "from": one.admin.address, "to": to.address})
    signatures = city.sign("Recover", message, one.recovery, to)
    city.send("startRecovery", message, signatures, city.council("Recover", message))


def test_removing_a_stolen_seat_gains_nothing(city: City) -> None:
    """It cannot evade by rotation; it can only leave, and the council seats another admin."""
    one, new, other = city.departments[1], Key("new admin"), Key("other admin")
    recovering(city, new)
    rotate = city.message("RotateKey", **{"from": one.admin.address, "to": other.address})
    with refused("RecoveryPending"):
        city.send("rotateKey", rotate, city.sign("RotateKey", rotate, one.admin, other))
    city.joint("removeOfficer", "RemoveOfficer", one.admin, officer=one.admin.address)
    city.chain.travel(3 * DAY)
    with refused("NotInOffice"):
        city.send("finishRecovery", one.admin.address)
    city.seat(city.members[:2], 1, other, ADMIN)
    assert city.call("requireOfficer", other.address, ADMIN) == 1


def test_a_recovery_does_not_land_on_an_address_that_was_seated_meanwhile(city: City) -> None:
    one, new = city.departments[1], Key("new admin")
    recovering(city, new)
    city.seat(city.pair(2), 2, new, STEWARD)
    city.chain.travel(3 * DAY)
    with refused("AddressTaken"):
        city.send("finishRecovery", one.admin.address)


# ---- Direct calls of the parts ---------------------------------------------------------------------------------


def test_parts_refuse_direct_calls(city: City) -> None:
    """With all correct signatures for the ledger: the parts have separate storage without any officers."""
    one, two = city.departments[1], city.departments[2]
    parent = city.terms(city.asset_id(1, 1), 2, depth=1)
    child = {**parent, "grantee": 3, "depth": 0, "parent": city.grant(parent)}
    cancel = city.message("Cancel", grant=struct_hash("Terms", child))
    glass = city.message(
        "BreakGlass", asset=city.asset_id(1, 1), grantee=2, reasonHash=ZERO, until=city.now + HOUR
    )
    stop = city.message("SuspendDepartment", department=1, reason=ZERO)
    admission = city.message(
        "Admission", department=77, recovery=Key("r").address, profile=ZERO, seats=[], serviceKeys=[]
    )
    acts = (
        ("cancel", cancel, child, *city.sign("Cancel", cancel, two.steward)),
        ("breakGlass", glass, city.sign("BreakGlass", glass, two.emergency)),
        ("suspendDepartment", stop, city.sign("SuspendDepartment", stop, one.admin)),
        ("proposeAdmission", admission, city.council("Admission", admission)),
        ("finishRecovery", one.admin.address),
    )
    errors = (
        "NotInOffice",
        "AssetUnknown",
        "DepartmentNotActive",
        "EpochWrong",
        "RecoveryNotPending",
    )
    for (function, *arguments), error in zip(acts, errors, strict=True):
        alone = Contract("SharingLedger", city.call("firstPart"), city.ledger.abi, city.ledger.separator)
        with refused(error):
            city.chain.send(alone, function, *arguments)


def test_a_pause_stops_no_new_epoch(city: City) -> None:
    anchoring, origin, log = Anchoring(city), origin_of("civic.example/log"), entries(5)
    anchoring.open(origin)
    anchoring.grow(origin, log, 0, 5)
    city.sole("pause", "Pause", city.guardian, duration=HOUR)
    closing = anchoring.epoch(origin, origin_of("civic.example/log/2"), 5, log.root(5))
    anchoring.send("newEpoch", closing, [], anchoring.council("NewEpoch", closing))


# ---- To the second ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late", "error"), [(0, "DisputeWindowOpen"), (1, "DisputeWindowClosed")])
def test_no_second_is_both_in_and_after_the_dispute_window(city: City, late: int, error: str) -> None:
    """In its last second a line is disputed and nothing is settled; one second later the other way round."""
    settling = Settling(city)
    lines = [line(2, 1, 100), line(3, 1, 50, keccak(b"b"))]
    for department in (2, 3):
        settling.set_budget(settling.budget(department, 100))
    statement = settling.statement(lines)
    committed = city.now
    settling.commit(statement)
    city.chain.now = committed + SHORTEST_WINDOW + late
    finance = city.departments[2].finance
    with refused(error):
        settling.finalise(statement, lines) if not late else settling.raise_dispute(
            statement, lines, lines[0], finance
        )
    if late:
        settling.finalise(statement, lines)
    else:
        settling.raise_dispute(statement, lines, lines[0], finance)


def test_a_line_that_stands_twice_is_disputed_once_and_stops_everything(city: City) -> None:
    """Two equal lines have one leaf: the objection to it is one, and both are stopped by it."""
    settling = Settling(city)
    lines = [line(2, 1, 100), line(2, 1, 100)]
    settling.set_budget(settling.budget(2, 200))
    statement = settling.statement(lines)
    settling.commit(statement)
    finance = city.departments[2].finance
    settling.raise_dispute(statement, lines, lines[0], finance)
    with refused("AlreadyDone"):
        settling.raise_dispute(statement, lines, lines[1], finance)
    settling.wait()
    with refused("OpenDisputes"):
        settling.finalise(statement, lines)
