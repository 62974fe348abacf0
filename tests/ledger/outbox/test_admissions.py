"""An admission waits in the outbox until it is ready: a day by the chain's own clock."""

from __future__ import annotations

import time
from typing import Any

from ledger.audit.log.writer import JobResult
from ledger.chain.embedded import SimulatedClock
from ledger.outbox import SignedAct, accept, admission_delay, admission_of, find, on_its_way, steps_of
from ledger.outbox.store import ActRecord
from ledger.store.engine import reader

DAY = 86_400
SEATS = {"admin": 1, "steward": 2}


def a_town(make_city: Any, **options: Any) -> Any:
    return make_city(found=False, admission_delay=DAY, **options)


def proposed(city: Any, number: int = 9) -> tuple[SignedAct, SignedAct]:
    """The two accepted acts of an admission that the council and the seats have signed."""
    document = city.admission(number, **SEATS)
    message = document["message"] | {"deadline": city.now() + 9 * DAY}
    names = [f"{number}:{word}" for word in SEATS]
    act = SignedAct.from_json(city.act("Admission", message, *city.council, *names))
    with reader(city.engine).connect() as connection:
        proposal, activation = steps_of(connection, city.deployment, act, DAY)

    def job(connection: Any) -> JobResult[Any]:
        return JobResult(
            [accept(connection, city.deployment, a, city.moment()) for a in (proposal, activation)]
        )

    city.writer.submit(job).result()
    return proposal, activation


def record_of(city: Any, act: SignedAct) -> ActRecord:
    with reader(city.engine).connect() as connection:
        found = find(connection, act.id(city.deployment))
    assert found is not None
    return found


def rounds(city: Any, relayer: Any, number: int = 3) -> None:
    for _ in range(number):
        relayer.step()
        city.chain.mine()
        city.follow()


def test_the_delay_is_that_of_the_deployment(make_city: Any) -> None:
    city = a_town(make_city)
    assert admission_delay(city.chain, city.deployment) == DAY


def test_an_activation_waits_a_day_and_then_seats_the_department(make_city: Any) -> None:
    city = a_town(make_city)
    proposal, activation = proposed(city)
    rounds(city, city.relayer())
    assert record_of(city, proposal).state == "recorded"
    with reader(city.engine).connect() as connection:
        found = admission_of(connection, activation.message)
        assert found is not None
        assert not on_its_way(connection)
    assert found.state == "proposed"
    rounds(city, city.relayer())
    assert record_of(city, activation).state == "received"
    assert record_of(city, activation).tx_hash is None
    city.clock.set(found.ready_at + 1)
    city.must(city.act("OpenLog", {"origin": "0x" + "77" * 32, "operator": 7, "quorum": 0}, "mayor"))
    rounds(city, city.relayer())
    assert record_of(city, activation).state == "recorded"


def test_early_activation_continues_to_wait(make_city: Any) -> None:
    """The chain's clock is two days behind this machine's: the contract refuses, and the act keeps
    waiting."""
    city = a_town(make_city, clock=SimulatedClock(time.time() - 2 * DAY))
    _, activation = proposed(city)
    relayer = city.relayer()
    rounds(city, relayer, 6)
    assert record_of(city, activation).state in ("received", "submitted")
    city.clock.advance(DAY + 60)
    until = time.monotonic() + 30
    while record_of(city, activation).state != "recorded":
        assert time.monotonic() < until
        rounds(city, relayer, 1)


def test_activation_fails_with_its_proposal(make_city: Any) -> None:
    city = a_town(make_city)
    city.must(city.act("Pause", {"duration": 3_600, "salt": 1}, "guardian"))
    proposal, activation = proposed(city)
    rounds(city, city.relayer())
    assert record_of(city, proposal).state == "failed"
    fallen = record_of(city, activation)
    assert (fallen.state, fallen.code) == ("failed", "act.refused")
