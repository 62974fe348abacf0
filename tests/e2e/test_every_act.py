"""Every act over HTTP: recorded once, the same answer twice, rubbish refused by name, never a failure of the service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import httpx
import pytest

from api.sdk.client import Civic
from api.sdk.errors import AnswerRefused
from contracts.artifacts import eip712_messages
from ledger.chain.calls import CONTRACTS, functions_of
from ledger.chain.signers import sign_digest
from ledger.outbox import SignedAct
from tests.simulators.governed_town import EARLY, LIFE, Act, GovernedTown, secret

WITHOUT_RECEIPT = frozenset({"head"})
"""An anchor is no entry of the log that it anchors."""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GovernedTown]:
    made = GovernedTown.found(tmp_path_factory.mktemp("governed") / "home")
    yield made
    made.service.stop()


@pytest.fixture(scope="module")
def civic(town: GovernedTown, tmp_path_factory: pytest.TempPathFactory) -> Civic:
    return Civic(town.service.url, town.trust, tmp_path_factory.mktemp("client"))


def post(town: GovernedTown, document: Any) -> tuple[int, dict[str, Any]]:
    answer = httpx.post(f"{town.service.url}/v1/acts", json=document, params={"wait": 20}, timeout=60)
    return answer.status_code, answer.json()


def test_the_table_has_every_message_and_every_function(town: GovernedTown) -> None:
    types = {kind for contract in CONTRACTS for kind in eip712_messages(contract)}
    functions = {function.name for kind in types for function in functions_of(kind)}
    made = [SignedAct.from_json(town.make(name)) for name in LIFE]
    assert {act.type for act in made} == types
    assert {act.function.name for act in made} == functions


def bring_to(town: GovernedTown, name: str) -> None:
    """Record every act before this one that this town has not had yet: the tests may run in several processes."""
    for earlier in takewhile(lambda one: one != name, LIFE):
        if earlier not in town.had and earlier not in EARLY:
            status, answer = post(town, town.make(earlier))
            assert (status, answer["state"]) == (200, "recorded"), answer
            town.had.add(earlier)


@pytest.mark.parametrize("name", LIFE)
def test_an_act_is_recorded_once(town: GovernedTown, civic: Civic, name: str) -> None:
    bring_to(town, name)
    act = town.make(name)
    before = civic.status()["log"]["size"]
    for rubbish in spoiled(town, act):
        status, problem = post(town, rubbish)
        assert 400 <= status < 500, (rubbish, problem)
        assert problem["code"].count("."), problem
    assert civic.status()["log"]["size"] == before
    if name in EARLY:
        status, problem = post(town, act)
        assert (status, problem["code"]) == (409, "act.refused")
        return
    status, first = post(town, act)
    assert (status, first["state"]) == (200, "recorded"), first
    town.had.add(name)
    assert first["digest"].partition(":")[0] == town.digest_of(act)
    size = civic.status()["log"]["size"]
    status, again = post(town, act)
    assert status == 200
    assert told(again) == told(first)
    seen = civic.transport.call("GET", f"/v1/acts/{first['digest']}").json()
    assert told(seen) == told(first)
    if name in WITHOUT_RECEIPT:
        assert "receipt" not in seen
        with pytest.raises(AnswerRefused):
            civic.act_status(first["digest"])  # nothing proves to this client that it was recorded
    else:
        assert civic.act_status(first["digest"])["entry"]["type"].startswith("chain:")
    assert civic.status()["log"]["size"] == size


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """Without the receipt, which is made under the newest checkpoint."""
    kept = {name: value for name, value in answer.items() if name not in ("receipt", "entry", "proposal")}
    return kept | {"proposal": told(answer["proposal"])} if "proposal" in answer else kept


def spoiled(town: GovernedTown, act: Act) -> Iterator[Act]:
    """The act in forms that nobody signed or that mean nothing."""
    message, signatures = act["message"], act["signatures"]
    stranger = "0x" + sign_digest(secret("stranger"), bytes.fromhex(town.digest_of(act)[2:])).hex()
    rubbish = "0x" + "00" * 65
    for other in (stranger, rubbish, "0x12"):
        yield act | {"signatures": _replaced(signatures, other)}
    yield act | {"signatures": []}
    yield act | {"signatures": {"nobody": _flat(signatures)}}
    yield act | {"signatures": [stranger] * 6}
    first = next(iter(message))
    yield act | {"message": {name: value for name, value in message.items() if name != first}}
    yield act | {"message": message | {"more": 1}}
    for value in (-1, 2**300, "x", None, [], {}, True, 1.5):
        yield act | {"message": message | {first: value}}
    yield act | {"message": message | {"deadline": 1}}
    yield act | {"arguments": {"nonsense": 1}}
    for name in act.get("arguments", {}):
        for value in ("x", [], {}, None, ["x"], [{}]):
            if value != act["arguments"][name]:
                yield act | {"arguments": act["arguments"] | {name: value}}
    yield act | {"documents": [*act.get("documents", []), {"foreign": True}]}
    yield act | {"request": "not a request"}
    if act.get("documents"):
        yield act | {"documents": [{"@type": "Agreement"}]}


def _flat(signatures: Any) -> list[str]:
    if isinstance(signatures, dict):
        return [one for given in signatures.values() for one in given]
    return list(signatures)


def _replaced(signatures: Any, other: str) -> Any:
    """The signatures with another one in the place of the first."""
    if isinstance(signatures, dict):
        slot = next(iter(signatures))
        return signatures | {slot: [other, *signatures[slot][1:]]}
    return [other, *signatures[1:]]


def test_an_act_that_nobody_handed_in_is_not_found(town: GovernedTown) -> None:
    unknown, rubbish = (404, "not-found.act"), (400, "id.invalid")
    nobody = "0x" + "00" * 32
    cases = (
        (nobody, unknown),
        (f"{nobody}:activate", unknown),
        ("rubbish", rubbish),
        ("0x12:activate", rubbish),
    )
    for digest, expected in cases:
        answer = httpx.get(f"{town.service.url}/v1/acts/{digest}", params={"wait": 1}, timeout=60)
        assert (answer.status_code, json.loads(answer.content)["code"]) == expected
