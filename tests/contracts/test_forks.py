"""A chain that forks into two branches: signatures for one are valid on the other (docs/threat-model.md).

The domain of a signature has chain id, address and salt, and a fork has them all. The branches differ in the
order and choice of the submitted acts: a holder of the signatures can choose again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from contracts_harness import (
    DAY,
    FOREVER,
    HOUR,
    ZERO,
    City,
    Receipt,
    example_city,
    refused,
    separator,
    struct_hash,
)

from .anvil_chain import AnvilChain

Act = Callable[[], Receipt]


def signed(city: City) -> dict[str, Act]:
    """Acts of several offices, signed once; each call hands the same bytes in."""
    one = city.departments[1]
    asset = city.asset_id(1, 1)
    terms = city.terms(asset, 2, deadline=city.now + DAY)
    grant = struct_hash("Terms", terms)
    messages = {
        "grant": ("Terms", terms, [one.steward]),
        "use": (
            "Use",
            city.message("Use", grant=grant, total=3, logHead=ZERO, deadline=FOREVER),
            [one.attest],
        ),
        "revoke": ("Revoke", city.message("Revoke", grant=grant, reason=1, deadline=FOREVER), [one.steward]),
        "suspendAsset": (
            "SuspendAsset",
            city.message("SuspendAsset", asset=asset, by=1, reason=ZERO, deadline=FOREVER),
            [one.steward],
        ),
        "removeOfficer": (
            "RemoveOfficer",
            city.message("RemoveOfficer", officer=one.finance.address, deadline=FOREVER),
            [one.admin],
        ),
        "pause": ("Pause", city.message("Pause", duration=HOUR, deadline=FOREVER), [city.guardian]),
    }
    lists = {"grant", "removeOfficer"}
    made = {}
    for function, (kind, message, keys) in messages.items():
        given = city.sign(kind, message, *keys)
        made[function] = lambda f=function, m=message, s=given: city.send(f, m, s if f in lists else s[0])
    return made


def test_fork_with_the_same_chain_id_accepts_all_signed_acts(city: City) -> None:
    acts = signed(city)
    for _ in range(2):
        with city.chain.rewound():
            for act in acts.values():
                act()


def test_revocation_on_one_branch_does_not_apply_on_the_other(
    city: City,
) -> None:
    """A holder of the signatures submits the grant and not its revocation. Both are public, so any party can
    submit the rest."""
    acts = signed(city)
    with city.chain.rewound():
        acts["grant"]()
        acts["revoke"]()
    grant = acts["grant"]().only("Granted")["grant"]
    assert city.call("isLive", grant, [])
    acts["revoke"]()
    assert not city.call("isLive", grant, [])


def test_unsent_act_expires_on_every_branch(city: City) -> None:
    acts = signed(city)
    with city.chain.rewound():
        acts["grant"]()
    city.chain.travel(DAY + 1)
    with refused("DeadlinePassed"):
        acts["grant"]()


def test_cancelled_terms_cannot_be_granted_on_that_branch(city: City) -> None:
    terms = city.terms(city.asset_id(1, 1), 2, deadline=city.now + DAY)
    quorum = city.quorum("Terms", terms, 1)
    with city.chain.rewound():
        city.send("grant", terms, quorum)
    cancel = city.message("Cancel", grant=struct_hash("Terms", terms))
    city.send("cancel", cancel, terms, *city.sign("Cancel", cancel, city.departments[1].steward))
    with refused("GrantExists"):
        city.send("grant", terms, quorum)


def test_a_pause_for_one_branch_pauses_the_other_and_a_hand_over_needs_its_successor_there(
    city: City,
) -> None:
    """A successor that exists on one branch only binds the hand-over to it."""
    pause = signed(city)["pause"]
    with city.chain.rewound():
        message = city.message(
            "HandOver", successor=city.successor(), freezeAt=city.now + HOUR, handOverAt=city.now + 3 * HOUR
        )
        council = city.council("HandOver", message)
        city.send("announceHandOver", message, council)
        pause()
    with refused("SuccessorForeign"):
        city.send("announceHandOver", message, council)
    pause()
    with refused("PausedUntil"):
        city.grant(city.terms(city.asset_id(1, 1), 2))


@pytest.fixture(scope="module")
def on_anvil() -> Iterator[City]:
    chain = AnvilChain()
    try:
        yield example_city(chain)
    finally:
        chain.close()


@pytest.mark.needs("anvil")
def test_branch_with_another_chain_id_accepts_no_earlier_act(on_anvil: City) -> None:
    """The contracts, their parts too, follow the id of the chain that they run on: sign anew, for this branch alone."""
    city, chain = on_anvil, on_anvil.chain
    assert isinstance(chain, AnvilChain)
    acts = signed(city)
    old, chain.chain_id = city.ledger.separator, chain.chain_id + 1
    chain.rpc("anvil_setChainId", chain.chain_id)
    chain.rpc("anvil_autoImpersonateAccount", True)  # its own accounts sign for the old id
    for function, error in (
        ("grant", "NotInOffice"), ("suspendAsset", "NotInOffice"), ("pause", "NotGuardian"),
        ("removeOfficer", "NotInOffice"),
    ):  # fmt: skip
        with refused(error):
            acts[function]()
    city.ledger.separator = separator("SharingLedger", chain.chain_id, city.ledger.address, city.salt)
    assert city.ledger.separator != old
    for act in signed(city).values():
        act()
