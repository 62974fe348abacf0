"""A hand-over in a running city: acts that begin something are refused from the freeze on, acts that end or lift
continue, and a second edition on the city's own chain reads them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from eth_abi import decode, encode
from eth_hash.auto import keccak

from api.demo.city import City, hand_in
from api.demo.governing import AIR_POLICY, PENSION_CHECK
from api.demo.participants import ELDER_CARE, PASSPHRASE, PLANNING
from api.protocol.keystore import open_secp256k1
from api.sdk.acts import sign_act
from api.sdk.drafting import deadline_in, new_salt
from api.sdk.drafts import ActDraft, draft_hand_over, draft_revocation, draft_suspension, submit
from api.sdk.errors import ServiceProblem
from contracts.artifacts import DIRECTORY
from ledger.chain.abi import abi_type
from ledger.chain.embedded import EmbeddedChain, SimulatedClock
from ledger.chain.signers import address_of
from ledger.chain.transactions import sign_transaction
from ledger.ids import parse_asset
from tests.simulators.city import open_city
from tests.simulators.successor import deployed

HOUR = 3_600


class Second:
    """The second edition of ``contracts/src/rehearsal`` on the chain of a home whose service is stopped."""

    def __init__(self, home: Path) -> None:
        self._path = home / "chain.sqlite"
        self._relayer = open_secp256k1(home / "keys" / "relayer.json", PASSPHRASE)
        document = json.loads((DIRECTORY / "rehearsal" / "SecondLedger.json").read_text("utf-8"))
        self._abi = {one["name"]: one for one in document["abi"] if one["type"] == "function"}
        ledger = json.loads((home / "civic.json").read_text("utf-8"))["deployment"]["addresses"][
            "SharingLedger"
        ]
        with EmbeddedChain.open(self._path) as chain:
            code = bytes.fromhex(document["bytecode"][2:]) + encode(["address"], [ledger])
            self.address = deployed(chain, self._relayer, code)

    def open(self, at: int) -> EmbeddedChain:
        return EmbeddedChain.open(self._path, clock=SimulatedClock(at))

    def send(self, chain: EmbeddedChain, function: str, *arguments: Any) -> None:
        fees, nonce = chain.fees(), chain.nonce(address_of(self._relayer))
        data = self._data(function, arguments)
        raw = sign_transaction(self._relayer, chain.chain_id, nonce, self.address, data, 2_000_000, fees)
        receipt = chain.wait(chain.send(raw))
        assert receipt.succeeded, (function, receipt.revert_data)

    def live(self, chain: EmbeddedChain, grant: str) -> bool:
        answer: bool = decode(["bool"], chain.call(self.address, self._data("isLive", [_grant(grant), []])))[
            0
        ]
        return answer

    def _data(self, function: str, arguments: Any) -> bytes:
        types = [abi_type(one) for one in self._abi[function]["inputs"]]
        return keccak(f"{function}({','.join(types)})".encode())[:4] + encode(types, arguments)


def _grant(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def announced(city: City, successor: str) -> Mapping[str, Any]:
    """The message of a hand-over that freezes in a few seconds; later if the machine is busy."""
    bureau = next(iter(city.actors.values()))
    for lead in (5, 15, 45):
        freeze = int(time.time()) + lead
        draft = draft_hand_over(successor, freeze, freeze + HOUR, epoch=1)
        try:
            hand_in(city, bureau, draft, city.council[:2])
        except ServiceProblem as problem:
            if "HandOverTimeInvalid" not in str(problem):
                raise
        else:
            return draft.message
    raise AssertionError("the machine is too busy")


def test_a_city_hands_over_while_it_runs(home: Path) -> None:
    second = Second(home)
    city = open_city(home)
    try:
        message = _frozen(city, second.address)
    finally:
        city.service.stop()
    plain, revoked = city.grants["pension-check"], city.grants["air-planning"]
    with second.open(message["handOverAt"]) as chain:
        second.send(chain, "begin")
        second.send(chain, "adoptBatch", [_grant(plain), _grant(revoked)])
        assert (second.live(chain, plain), second.live(chain, revoked)) == (True, False)


def _frozen(city: City, successor: str) -> Mapping[str, Any]:
    register, air = city.assets["population_register"], city.assets["air_quality"]
    keeper, owner = (city.actors[parse_asset(asset) >> 40] for asset in (register, air))

    def signed(who: Any, draft: ActDraft, *roles: str) -> ActDraft:
        return sign_act(draft, city.trust, [who.secrets[role] for role in roles])

    def check() -> Any:
        return city.of(ELDER_CARE).civic.read(register, PENSION_CHECK, {"limit": 1})

    def read() -> Any:
        return city.of(PLANNING).civic.read(air, AIR_POLICY, {"limit": 1})

    # Pending: signed before the freeze, submitted after it.
    known = city.of(PLANNING).civic.grant(city.grants["air-planning"])
    fresh = {"salt": new_salt(), "deadline": deadline_in()}
    late = signed(owner, ActDraft("Terms", known["terms"] | fresh, (known["agreement"],)), "steward")
    revocation = signed(owner, draft_revocation(city.grants["air-planning"], "purpose-ended"), "steward")
    read()
    check()
    submit(keeper.civic, signed(keeper, draft_suspension(register, "corrections"), "steward"))
    lift = signed(keeper, draft_suspension(register, "corrected", lift=True), "steward")

    message = announced(city, successor)
    assert city.of(PLANNING).civic.status()["council"]["hand_over"]["freeze_at"] == message["freezeAt"]
    while time.time() < message["freezeAt"] + 1:
        time.sleep(0.2)
    size = city.of(PLANNING).civic.status()["log"]["size"]
    with pytest.raises(ServiceProblem) as refused:
        submit(owner.civic, late)
    assert (refused.value.status, refused.value.code) == (409, "act.frozen")
    assert f"FrozenSince(freezeAt={message['freezeAt']})" in str(refused.value)
    assert city.of(PLANNING).civic.status()["log"]["size"] == size
    read()
    assert submit(owner.civic, revocation)["state"] == "recorded"
    with pytest.raises(ServiceProblem) as denied:
        read()
    assert (denied.value.status, denied.value.reasons) == (403, ["grant.revoked"])
    with pytest.raises(ServiceProblem) as denied:
        check()
    assert denied.value.status == 403
    assert submit(keeper.civic, lift)["state"] == "recorded"
    check()
    return message
