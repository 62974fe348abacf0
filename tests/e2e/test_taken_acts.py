"""An accepted revocation that is not mined yet denies, whatever rows are changed meanwhile; and it is mined
later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from api.cli.commands.audit_keeping import fsck
from api.demo.city import City, found_city
from api.demo.governing import AIR_POLICY, admit, register, share
from api.demo.participants import AUDIT, EDUCATION, HEALTH, PASSPHRASE, PLANNING, Actor, Part
from api.demo.process import ServiceProcess
from api.protocol.keystore import import_secp256k1
from api.sdk.acts import ActDraft, sign_act
from api.sdk.client import Civic
from api.sdk.conditions import draft_binding, draft_condition, draft_end, new_opening
from api.sdk.drafts import draft_revocation, draft_service_key_removal, draft_suspension, submit
from api.sdk.errors import ServiceProblem
from ledger.ids import parse_asset
from tests.simulators.city import reconnect, silent
from tests.simulators.held_node import HeldChain, held_node
from tests.simulators.postgres import ordinary_database

STORES = ["sqlite", pytest.param("postgresql", marks=(pytest.mark.drill, pytest.mark.needs("postgresql")))]
RELAYER_KEY = bytes.fromhex("22" * 32)
WITHIN_S = 60

EDITS = (
    ("DELETE FROM outbox_denial",),
    ("UPDATE outbox_denial SET target = '9.9'",),
    ("UPDATE outbox_act SET state = 'failed'",),
    ("UPDATE outbox_act SET state = 'recorded', type = 'Use'",),
    ("UPDATE outbox_act SET deadline = 1",),
    ("UPDATE outbox_act SET message = '{}'",),
    ("UPDATE outbox_act SET signatures = '[]'",),
    ("DELETE FROM outbox_transaction",),
    ("UPDATE outbox_transaction SET digest = '0x' || substr(digest, 4) || '0', raw = ''",),
    ("DELETE FROM outbox_act", "DELETE FROM outbox_transaction", "DELETE FROM outbox_denial"),
    ("DELETE FROM grant_condition", "DELETE FROM asset_parent", "DELETE FROM outbox_denial"),
    ("UPDATE asset SET holder = 99, processor = 99, operator = 99",),
    ("UPDATE service_key SET removed = FALSE", "UPDATE outbox_act SET state = 'expired'"),
)
"""The changes of a person who writes the database, one after the other; the rows are restored in between."""

TABLES = sorted(
    {statement.split()[1 + (statement.split()[0] == "DELETE")] for edit in EDITS for statement in edit}
)


@dataclass
class HeldCity:
    """A city on a node whose pool can be held, and its database."""

    city: City
    chain: HeldChain
    engine: Engine

    def owner(self, dataset: str) -> Actor:
        return self.city.actors[parse_asset(self.city.assets[dataset]) >> 40]

    def hand_in(self, who: Actor, draft: ActDraft, role: str = "steward") -> str:
        """Submit an act; return its digest."""
        signed = sign_act(draft, self.city.trust, [who.secrets[role]])
        submit(who.civic, signed, wait_s=0.0 if self.chain.holding else 20.0)
        return "0x" + draft.digest(self.city.trust).hex()

    def refused(self, part: Part, dataset: str, grant: str) -> list[str]:
        """The code with which a department's read is refused; empty if it is answered."""
        query: dict[str, Any] = {"limit": 1}
        try:
            self.city.of(part).civic.read(
                self.city.assets[dataset], AIR_POLICY, query, grant=self.city.grants[grant]
            )
        except ServiceProblem as refused:
            return list(refused.reasons or [refused.code])
        return []

    def run(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    @contextmanager
    def edited(self, *statements: str) -> Iterator[None]:
        """Run these statements on the database; the rows are restored afterwards."""
        with self.engine.connect() as connection:
            before = {
                table: connection.execute(text(f"SELECT * FROM {table}")).mappings().all() for table in TABLES
            }
        self.run(*statements)
        yield
        with self.engine.begin() as connection:
            for table, rows in before.items():
                connection.execute(text(f"DELETE FROM {table}"))
                for row in rows:
                    names = ", ".join(f'"{name}"' for name in row)
                    marks = ", ".join(f":{name}" for name in row)
                    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), dict(row))

    def restart(self, *statements: str, forget: bool = False) -> None:
        """Stop the service, run these statements, start it; ``forget``: also delete what it stored about the
        log."""
        self.city.service.stop()
        self.run(*statements)
        if forget:
            (self.city.home / "uses-in-log.json").unlink()
        self.city.service = ServiceProcess(self.city.home)
        reconnect(self.city)


@pytest.fixture(scope="module", params=STORES)
def held(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeldCity]:
    folder = tmp_path_factory.mktemp("held")
    with ExitStack() as stack:
        chain, node = stack.enter_context(held_node(folder, RELAYER_KEY))
        url = f"sqlite:///{folder / 'city' / 'ledger.sqlite'}"
        if request.param == "postgresql":
            url = stack.enter_context(ordinary_database(request.getfixturevalue("postgres_server")))
            stack.enter_context(pytest.MonkeyPatch.context()).setenv("CIVIC_DATABASE_URL", url)
        key = import_secp256k1(folder / "relayer.json", "relayer", RELAYER_KEY, PASSPHRASE, demo=True).path
        city = found_city(folder / "city", node, key)
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        stack.callback(engine.dispose)
        stack.callback(lambda: city.service.stop())
        for chapter in (admit, register, share):
            chapter(silent(), city)
        yield HeldCity(city, chain, engine)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < deadline, true
        time.sleep(0.2)


def bound(held: HeldCity) -> ActDraft:
    """The planning department's grant on the visits is bound to a condition; the act that ends it."""
    condition = f"{HEALTH.number}.1"
    keeper, grant = held.city.of(HEALTH), held.city.grants["visits-planning"]
    held.hand_in(keeper, draft_condition(condition, "consent", new_opening("form 17")))
    held.hand_in(held.owner("respiratory_visits"), draft_binding(grant, condition))
    return draft_end(condition, "withdrawn")


def test_accepted_revocation_denies_whatever_rows_are_changed(held: HeldCity) -> None:
    city = held.city
    reads = (
        (PLANNING, "air_quality", "air-planning", ["grant.revoked"]),
        (PLANNING, "respiratory_visits", "visits-planning", ["grant.condition-ended"]),
        (PLANNING, "population_register", "register-masked", ["grant.revoked"]),
        (EDUCATION, "air_quality", "air-education", ["signature.unknown-key"]),
    )
    end = bound(held)
    for part, dataset, grant, _ in reads[:3]:
        assert held.refused(part, dataset, grant) == []
    held.chain.holding = True
    key = city.of(EDUCATION).service.public
    acts = (
        held.hand_in(held.owner("air_quality"), draft_revocation(city.grants["air-planning"])),
        held.hand_in(city.of(HEALTH), end),
        held.hand_in(
            held.owner("population_register"), draft_suspension(city.assets["population_register"], "a leak")
        ),
        held.hand_in(city.of(EDUCATION), draft_service_key_removal(EDUCATION.number, key, epoch=1), "admin"),
    )

    def denied(what: object) -> None:
        found = [held.refused(part, dataset, grant) for part, dataset, grant, _ in reads]
        assert found == [why for *_, why in reads], what

    denied("nothing was edited")
    for edit in EDITS:
        with held.edited(*edit):
            denied(edit)
    with held.edited(*EDITS[9]):
        until(lambda: city.of(AUDIT).civic.status()["work"]["acts"] == "act.undeliverable")
    held.restart("UPDATE outbox_act SET state = 'failed'", "DELETE FROM outbox_denial")
    denied("the service was stopped")
    held.restart("UPDATE outbox_act SET state = 'recorded'", "DELETE FROM outbox_transaction", forget=True)
    denied("and had to read the whole log")
    held.chain.holding = False
    held.restart("DELETE FROM outbox_denial", "UPDATE outbox_act SET state = 'failed'")
    civic = held.owner("air_quality").civic
    for act in acts:
        until(lambda act=act: state_of(civic, act) == "recorded")
    assert civic.grant(city.grants["air-planning"])["status"] == "revoked"
    found = [held.refused(part, dataset, grant) for part, dataset, grant, _ in reads]
    assert found[:2] == [["grant.revoked"], ["grant.condition-ended"]]
    assert found[2:] == [["asset.suspended", "grant.asset-suspended"], ["signature.unknown-key"]]
    # The chain has decided: the undone act no longer denies.
    owner = held.owner("population_register")
    held.hand_in(owner, draft_suspension(city.assets["population_register"], "mended", lift=True))
    assert held.refused(*reads[2][:3]) == []


def state_of(civic: Civic, act: str) -> str:
    try:
        return str(civic.act_status(act)["state"])
    except ServiceProblem as refused:
        return str(refused.code)


def test_act_with_deleted_rows_is_reported_and_denies(held: HeldCity) -> None:
    """The log shows who had the right, because the row is changed before the act arrives."""
    city, read = held.city, (HEALTH, "air_quality", "air-health")
    asset = city.assets["air_quality"]
    owner = parse_asset(asset) >> 40
    rights = "UPDATE asset SET holder = {0}, processor = {0}, operator = {0} WHERE id = '{1}'"
    assert held.refused(*read) == []
    held.chain.holding = True
    held.hand_in(held.owner("air_quality"), draft_suspension(owner, "a theft", epoch=1), "admin")
    held.run(rights.format(99, asset), "DELETE FROM outbox_denial")
    assert held.refused(*read) == ["grant.revoked"]
    held.restart("DELETE FROM outbox_act WHERE type = 'SuspendDepartment'", rights.format(owner, asset))
    assert held.refused(*read) == ["grant.revoked"]
    # A node that has the transaction still executes it when it mines, so all of this is tested before.
    until(lambda: city.of(AUDIT).civic.status()["work"]["acts"] == "act.undeliverable")
    city.service.stop()
    assert {one["code"] for one in fsck(city.home).document["damage"]} == {"fsck.act"}
    held.restart()
    assert held.refused(*read) == ["grant.revoked"]
    held.chain.holding = False
