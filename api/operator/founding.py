"""Founds a city: the signed acts of the council and the officers are submitted before the service starts.

The acts are processed like those that arrive over HTTP: checked, stored in the database, sent to the chain.
An admission is proposed at once; the service activates it after the council's delay, also after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from api.operator.gateway import Gateway
from api.operator.wiring import open_gateway
from api.runtime.settings import Settings
from ledger.acts.authority import SignerRules
from ledger.acts.projected import ProjectedRecords
from ledger.acts.signing import places_by_slot
from ledger.chain.messages import normalise

WAIT_S = 3.0
"""How long to wait for each act, in seconds; the service continues with an act that takes longer."""


def hand_in_first_acts(
    settings: Settings, acts: Sequence[tuple[Mapping[str, Any], Sequence[str]]]
) -> list[dict[str, Any]]:
    """The state of each act, given as an act file and the addresses that signed it; RefusedError for the
    first refused act, and those after it are not submitted."""
    states = []
    with open_gateway(settings, chores=False, anchoring=False) as gateway:
        for act, signers in acts:
            identity, _ = gateway.acts.acts.submit({**act, "signatures": _in_slots(gateway, act, signers)})
            states.append(gateway.acts.outcomes.of(identity, WAIT_S))
    return states


def _in_slots(
    gateway: Gateway, act: Mapping[str, Any], signers: Sequence[str]
) -> list[str] | dict[str, list[str]]:
    """The signatures in the order and the lists that the contract requires."""
    message = normalise(act["type"], act["message"])
    with gateway.database.reading.connect() as connection:
        rules = SignerRules(ProjectedRecords(connection), int(gateway.clock.utc().timestamp()))
        found = places_by_slot(rules, act["type"], message, act["arguments"], signers)
    signatures = act["signatures"]
    if isinstance(found, list):
        return [signatures[n] for n in found]
    return {slot: [signatures[n] for n in places] for slot, places in found.items()}
