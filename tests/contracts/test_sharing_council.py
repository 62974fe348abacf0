"""The council replaces itself, and the guardian pauses for a limited time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from contracts_harness import (
    DAY,
    FOREVER,
    HOUR,
    NOBODY,
    READER,
    STEWARD,
    UNLIMITED,
    Chain,
    City,
    Key,
    Receipt,
    Reverted,
    keccak,
    refused,
    struct_hash,
)

NEW = [Key(f"new council {i}") for i in range(4)]


def replacement(city: City, **members: object) -> dict[str, object]:
    defaults = {
        "members": [key.address for key in NEW],
        "threshold": 3,
        "guardian": Key("new guardian").address,
        "epoch": 2,
    }
    return city.message("ReplaceCouncil", **{**defaults, **members})


def replace(
    city: City, message: dict[str, object], *, incoming: list[Key] | None = None, by: list[Key] | None = None
) -> Receipt:
    kind = "ReplaceCouncil"
    present = city.sign(kind, message, *(by or city.members[:2]))
    return city.send("replaceCouncil", message, present, city.sign(kind, message, *(incoming or NEW[:3])))


def test_a_council_replaces_itself_and_the_new_one_shows_that_it_can_act(city: City) -> None:
    message = replacement(city)
    with refused("CouncilQuorum"):
        replace(city, message, incoming=NEW[:2])
    with refused("NotCouncil"):
        replace(city, message, by=NEW[:2])
    replace(city, message)
    addresses = [key.address for key in NEW]
    assert city.call("council") == (addresses, 3, Key("new guardian").address, 2, 0)
    with refused("EpochWrong"):
        city.joint("unpause", "Unpause", *city.members[:2], NEW[0])
    with refused("NotCouncil"):
        city.joint("unpause", "Unpause", *city.members[:2], NEW[0], epoch=2)
    with refused("EpochWrong"):
        replace(city, message, by=NEW[:3])


def test_a_council_is_sound_and_sits_nowhere_else(city: City) -> None:
    for broken in ({"threshold": 0}, {"threshold": 5}, {"members": []}, {"guardian": NOBODY}):
        with refused("CouncilInvalid"):
            replace(city, replacement(city, **broken))
    for holder in (city.departments[1].admin.address, NEW[0].address, NOBODY):
        with refused("AddressTaken"):
            replace(city, replacement(city, members=[NEW[0].address, holder], threshold=1))


@pytest.mark.parametrize("members", [17, 0])
def test_a_deployment_needs_a_council_of_1_to_16(members: int) -> None:
    chain = Chain()
    addresses = [Key(f"member {i}").address for i in range(members)]
    with refused("CouncilInvalid"):
        chain.deploy_ledger([addresses, 1, Key("g").address, 0], bytes(32))


def test_a_full_council_can_be_deployed() -> None:
    chain = Chain()
    addresses = [Key(f"member {i}").address for i in range(16)]
    ledger = chain.deploy_ledger([addresses, 9, Key("g").address, 0], bytes(32))
    assert list(chain.call(ledger, "council")[0]) == addresses


# ---- Pause -----------------------------------------------------------------------------------------------------


def pause(city: City, duration: int = HOUR, key: Key | None = None) -> int:
    until: int = city.sole("pause", "Pause", key or city.guardian, duration=duration).only("Paused")["until"]
    return until


def test_the_guardian_pauses_for_72_hours_at_most_and_not_again_for_a_week(city: City) -> None:
    with refused("NotGuardian"):
        pause(city, key=city.members[0])
    for duration in (0, 72 * HOUR + 1):
        with refused("PauseTooLong"):
            pause(city, duration)
    message = city.message("Pause", duration=HOUR)
    signature = city.sign("Pause", message, city.guardian)
    city.send("pause", message, *signature)
    with refused("AlreadyDone"):
        city.send("pause", message, *signature)
    with refused("PauseCooling"):
        pause(city)
    until = city.call("pausedUntil")
    city.chain.now = until
    with refused("PausedUntil"):
        city.register(city.asset_id(1, 50))
    city.chain.now = until + 1
    city.register(city.asset_id(1, 50))
    city.chain.now = until + 7 * DAY - 1
    with refused("PauseCooling"):
        pause(city)
    city.chain.now = until + 7 * DAY
    pause(city)


def test_guardian_or_council_end_a_pause_and_the_cooldown_stays(city: City) -> None:
    with refused("NotPaused"):
        city.joint("unpause", "Unpause", city.guardian)
    pause(city)
    with refused("CouncilQuorum"):
        city.joint("unpause", "Unpause", city.members[0])
    with refused("CouncilQuorum"):
        city.joint("unpause", "Unpause", Key("stranger"))
    with city.chain.rewound():
        city.joint("unpause", "Unpause", *city.members[:2])
        city.register(city.asset_id(1, 50))
    city.joint("unpause", "Unpause", city.guardian)
    city.register(city.asset_id(1, 50))
    with refused("PauseCooling"):
        pause(city)


def widening(city: City) -> dict[str, Callable[[], object]]:
    """Every act that gives a party more rights."""
    one, two = city.departments[1], city.departments[2]
    asset = city.asset_id(1, 1)
    suspended = city.register(city.asset_id(1, 8))
    city.suspend(suspended, one.steward)
    parent = city.terms(asset, 2, depth=1, maxUses=UNLIMITED)
    child = city.terms(asset, 3, parent=city.grant(parent), maxUses=1)
    derived = {"class": 1, "sharing": 2, "metadata": bytes(32), "parents": [asset], "under": [bytes(32)]}
    city.sole("deriveAsset", "DeriveAsset", one.steward, asset=city.asset_id(1, 60), **derived)
    used = city.grant(city.terms(asset, 2))
    city.use(used, 9, one.attest)

    def both(function: str, kind: str, *first: Key, **members: object) -> object:
        message = city.message(kind, **members)
        authority = city.sign(kind, message, *first)
        given = authority if kind == "TransferRight" else authority[0]
        return city.send(function, message, given, *city.sign(kind, message, two.steward))

    return {
        "derive": lambda: city.sole(
            "deriveAsset", "DeriveAsset", one.steward, asset=city.asset_id(1, 61), **derived
        ),
        "renew": lambda: city.sole(
            "renewParent",
            "RenewParent",
            one.steward,
            asset=city.asset_id(1, 60),
            parent=asset,
            under=bytes(32),
        ),
        "transfer": lambda: both(
            "transferRight",
            "TransferRight",
            one.steward,
            **{"asset": asset, "right": 2, "from": 1, "to": 2},
        ),
        "retire": lambda: city.joint("retireAsset", "RetireAsset", one.steward, one.cdo, asset=asset),
        "correct": lambda: both("correctUses", "CorrectUses", one.steward, grant=used, total=1),
        "admit": lambda: city.admit(9),
        "officer": lambda: city.seat(city.pair(1), 1, Key("x"), STEWARD),
        "service key": lambda: city.joint(
            "addServiceKey",
            "AddServiceKey",
            one.admin,
            department=1,
            key=keccak(b"k"),
            hpke=bytes(32),
            roles=READER,
            notBefore=0,
            notAfter=FOREVER,
        ),
        "register": lambda: city.register(city.asset_id(1, 50)),
        "version": lambda: city.sole(
            "newVersion", "NewVersion", one.steward, asset=asset, version=2, metadata=bytes(32)
        ),
        "lower class": lambda: city.joint(
            "reclassify",
            "Reclassify",
            one.steward,
            one.cdo,
            **{"asset": city.asset_id(1, 2), "class": 1, "sharing": 2},
        ),
        "lift": lambda: city.sole(
            "liftAsset", "LiftAsset", one.steward, asset=suspended, by=1, reason=bytes(32)
        ),
        "grant": lambda: city.grant(city.terms(asset, 2)),
        "batch": lambda: city.joint("grantBatch", "GrantBatch", one.steward, grants=[city.terms(asset, 2)]),
        "delegate": lambda: city.delegate(child, [parent]),
        "break glass": lambda: city.joint(
            "breakGlass",
            "BreakGlass",
            two.emergency,
            asset=asset,
            grantee=2,
            reasonHash=bytes(32),
            until=city.now + HOUR,
        ),
        "lift department": lambda: city.joint(
            "liftDepartment", "LiftDepartment", *city.members[:2], department=3, reason=bytes(32)
        ),
        "restore": lambda: city.joint(
            "restorePrivilege", "RestorePrivilege", *city.members[:2], department=3, grants=[]
        ),
    }


@pytest.mark.parametrize(
    "act",
    [
        "derive",
        "renew",
        "transfer",
        "retire",
        "correct",
        "admit",
        "officer",
        "service key",
        "register",
        "version",
        "lower class",
        "lift",
        "grant",
        "batch",
        "delegate",
        "break glass",
        "lift department",
        "restore",
    ],
)
def test_pause_stops_widening_acts(city: City, act: str) -> None:
    acts = widening(city)
    if act in ("derive", "renew", "transfer", "retire", "correct"):
        with city.chain.rewound():
            acts[act]()
    pause(city)
    with refused("PausedUntil"):
        acts[act]()


def test_pause_never_stops_narrowing_or_recording_acts(city: City) -> None:
    one, two = city.departments[1], city.departments[2]
    asset = city.asset_id(1, 1)
    first, second, third = (city.grant(city.terms(asset, 2)) for _ in range(3))
    unsent = city.terms(asset, 2)
    glass = city.message("BreakGlass", asset=asset, grantee=2, reasonHash=bytes(32), until=city.now + HOUR)
    broken = city.send("breakGlass", glass, city.sign("BreakGlass", glass, two.emergency)).only(
        "GlassBroken"
    )["grant"]
    pause(city, 72 * HOUR)
    city.use(first, 1, one.attest)
    city.revoke(first, one.steward)
    city.sole("revokeBatch", "RevokeBatch", one.steward, grants=[second, third], reason=1)
    cancel = city.message("Cancel", grant=struct_hash("Terms", unsent))
    city.send("cancel", cancel, unsent, *city.sign("Cancel", cancel, one.steward))
    city.sole("ratify", "Ratify", city.departments[3].oversight, grant=broken)
    city.suspend(asset, one.steward)
    city.joint("reclassify", "Reclassify", one.cdo, **{"asset": asset, "class": 2, "sharing": 3})
    city.joint("removeOfficer", "RemoveOfficer", one.admin, officer=one.finance.address)
    recover = city.message(
        "Recover", **{"department": 1, "from": one.admin.address, "to": Key("new").address}
    )
    city.send(
        "startRecovery",
        recover,
        city.sign("Recover", recover, one.recovery, Key("new")),
        city.council("Recover", recover),
    )
    rotate = city.message("RotateKey", **{"from": one.steward.address, "to": Key("steward 2").address})
    city.send("rotateKey", rotate, city.sign("RotateKey", rotate, one.steward, Key("steward 2")))
    city.joint("suspendDepartment", "SuspendDepartment", two.admin, department=2, reason=bytes(32))


def test_an_early_end_of_a_pause_is_not_a_way_around_the_council(city: City) -> None:
    pause(city)
    message = city.message("Unpause")
    with pytest.raises(Reverted):
        city.send("unpause", message, [])
