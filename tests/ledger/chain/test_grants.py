"""Whether a grant is live, read from storage: equal to the contract's own views, for every reason to have ended."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode, encode
from eth_hash.auto import keccak

from contracts.artifacts import load
from ledger.chain.abi import abi_type
from ledger.chain.grants import grant_states
from ledger.chain.signers import address_of
from ledger.chain.slots import Slots
from tests.ledger.conftest import secret, service_key

NO_REASON = {"reason": "0x" + "00" * 32, "salt": 1}
GRANT_VIEW = (
    "uint8",
    "uint8",
    "uint8",
    "uint24",
    "uint64",
    "uint40",
    "uint40",
    "uint32",
    "uint32",
    "uint8",
    "bool",
    "bool",
    "bool",
)


def view(city: Any, name: str, *values: Any) -> bytes:
    """A view of the ledger, by its ABI."""
    (item,) = [i for i in load("SharingLedger").abi if i["type"] == "function" and i["name"] == name]
    types = [abi_type(i) for i in item["inputs"]]
    data = keccak(f"{name}({','.join(types)})".encode())[:4] + encode(types, values)
    return city.chain.call(city.deployment.addresses["SharingLedger"], data)


def state(city: Any, grant: str, chain: Any = None) -> Any:
    return grant_states(city.chain, city.deployment, [grant], {grant: chain} if chain else None)[grant]


def test_the_words_are_read_as_the_contract_reads_them(city: Any, tools: Any) -> None:
    granted = city.grant(tools.AIR, 9, depth=3, maxUses=77, notBefore=5)
    city.must(granted)
    grant = tools.grant_id(granted)
    city.must(city.act("Use", {"grant": grant, "total": 4, "logHead": "0x" + "55" * 32}, "7:machine"))
    found = state(city, grant)
    seen = decode(GRANT_VIEW, view(city, "grantOf", bytes.fromhex(grant[2:])))
    assert (
        1,
        0,
        found.right,
        found.grantee,
        found.asset_number,
        found.not_before,
        found.expiry,
        found.max_uses,
        found.uses,
        found.depth,
        found.may_derive,
        found.spent,
        found.live(city.moment()),
    ) == seen
    assert (found.status, found.uses, found.max_uses, found.depth) == ("active", 4, 77, 3)
    assert (found.asset, found.parties) == ("active", ("active", "active"))


def test_each_reason_for_an_ended_grant_has_a_word(city: Any, tools: Any) -> None:
    def granted(**changes: Any) -> str:
        document = city.grant(tools.AIR, 9, **changes)
        city.must(document)
        return str(tools.grant_id(document))

    def why(grant: str) -> Any:
        return state(city, grant).why(city.moment())

    good, revoked = granted(), granted()
    later, short = granted(notBefore=city.now() + 1_000), granted(expiry=city.now() + 100)
    city.must(city.revocation(revoked, "7:steward"))
    unsent = city.grant(tools.AIR, 9)
    city.must(
        city.act("Cancel", {"grant": tools.grant_id(unsent)}, "7:steward", arguments={"t": unsent["message"]})
    )
    assert [why(g) for g in (good, revoked, later, tools.grant_id(unsent), "0x" + "77" * 32)] == [
        None,
        "revoked",
        "not-yet",
        "cancelled",
        "unknown",
    ]
    city.clock.advance(200)
    assert why(short) == "expired"
    city.must(city.act("SuspendAsset", {"asset": tools.AIR, **NO_REASON}, "7:steward"))
    assert why(good) == "asset-suspended"
    city.must(city.act("LiftAsset", {"asset": tools.AIR, **NO_REASON}, "7:steward"))
    city.must(city.act("SuspendAsset", {"asset": tools.AIR, **NO_REASON}, "1:bureau"))
    assert why(good) == "asset-barred"
    city.must(city.act("LiftAsset", {"asset": tools.AIR, **NO_REASON, "salt": 2}, "1:bureau"))
    for department, who in ((9, "9:admin"), (7, "7:cdo")):
        city.must(city.act("SuspendDepartment", {"department": department, **NO_REASON}, who))
        assert why(good) == "department-suspended"
        city.must(city.act("LiftDepartment", {"department": department, **NO_REASON}, "mayor"))
    assert why(good) is None
    city.must(city.act("RetireAsset", {"asset": tools.AIR}, "7:steward", "7:cdo"))
    assert why(good) == "asset-retired"


def test_delegated_grant_is_live_only_with_its_ancestors(city: Any, tools: Any) -> None:
    parent = city.grant(tools.AIR, 9, depth=2)
    city.must(parent)
    child = city.grant(
        tools.AIR,
        1,
        "9:steward",
        parent=tools.grant_id(parent),
        depth=1,
        maxUses=20,
        expiry=parent["message"]["expiry"],
        arguments={"chain": [parent["message"]]},
    )
    city.must(child)
    grant, chain = tools.grant_id(child), [child["message"], parent["message"]]
    assert state(city, grant).why(city.moment()) == "ancestors-unknown"
    assert state(city, grant, chain).why(city.moment()) is None
    # A caller cannot choose a grant's ancestors: other terms and a shortened or reversed chain prove nothing.
    for false in (
        [child["message"]],
        [parent["message"]],
        [child["message"], parent["message"] | {"salt": 10_000}],
        [parent["message"], child["message"]],
        [child["message"] | {"parent": "0x" + "00" * 32}],
    ):
        assert state(city, grant, false).why(city.moment()) == "ancestors-unknown"
    city.must(city.revocation(tools.grant_id(parent), "7:steward"))
    assert state(city, grant, chain).why(city.moment()) == "ancestor-revoked"


def test_derived_asset_stops_with_its_parent(city: Any, tools: Any) -> None:
    message = city.registration(7, 20)["message"]
    city.must(
        city.act(
            "DeriveAsset",
            message | {"parents": [tools.AIR], "under": ["0x" + "00" * 32]},
            "7:steward",
            documents=[tools.metadata()],
        )
    )
    granted = city.grant(tools.AIR + 8, 9)
    city.must(granted)
    assert state(city, tools.grant_id(granted)).why(city.moment()) is None
    city.must(city.act("SuspendAsset", {"asset": tools.AIR, **NO_REASON}, "7:steward"))
    assert state(city, tools.grant_id(granted)).why(city.moment()) == "asset-suspended"


def test_keys_seats_and_assets_are_read_as_the_contract_reads_them(city: Any, tools: Any) -> None:
    slots = Slots(city.chain, city.deployment)
    key = service_key(9)
    found = slots.service_key(9, key)
    roles, not_before, not_after, valid = _key_view(city, 9, key)
    assert (found.roles, found.not_before, found.not_after, found.in_force(city.moment())) == (
        roles,
        not_before,
        not_after,
        valid,
    )
    assert (found.roles, found.standing) == (1, "active")
    assert slots.service_key(7, key).roles == 0, "it is another department's"
    steward = slots.seat(address_of(secret("9:steward")))
    assert (steward.department, steward.roles, steward.in_office(city.moment())) == (9, 2, True)
    assert (steward.not_before, steward.not_after) == (0, 2**40 - 1)
    assert not slots.seat(address_of(secret("nobody"))).in_office(city.moment())
    asset = slots.asset(tools.AIR)
    assert (asset.holder, asset.processor, asset.operator) == (7, 7, 7)
    assert (asset.version, asset.status) == (1, "active")
    assert slots.asset(tools.AIR + 99).status == "unknown"
    removal = {"department": 9, "key": "0x" + key.hex()}
    city.must(city.act("RemoveServiceKey", removal, "9:admin"))
    city.must(city.act("SuspendAsset", {"asset": tools.AIR, **NO_REASON}, "7:steward"))
    city.must(city.act("RemoveOfficer", {"officer": address_of(secret("9:steward"))}, "mayor"))
    city.must(city.act("SuspendDepartment", {"department": 7, **NO_REASON}, "mayor"))
    assert not slots.service_key(9, key).removed, "one of these lives as long as a block"
    slots = Slots(city.chain, city.deployment)
    assert slots.service_key(9, key).removed
    assert slots.seat(address_of(secret("9:steward"))).gone
    assert not slots.service_key(9, key).in_force(city.moment())
    assert slots.asset(tools.AIR).status == "suspended"
    assert slots.service_key(7, service_key(7)).standing == "suspended"
    assert not slots.service_key(7, service_key(7)).in_force(city.moment())


def _key_view(city: Any, department: int, key: bytes) -> tuple[Any, ...]:
    (item,) = [i for i in load("SharingLedger").abi if i["type"] == "function" and i["name"] == "serviceKey"]
    members = {i["name"]: i for i in item["outputs"]}
    answer = decode([abi_type(i) for i in item["outputs"]], view(city, "serviceKey", department, key))
    values = dict(zip(members, answer, strict=True))
    return values["roles"], values["notBefore"], values["notAfter"], values["active"]
