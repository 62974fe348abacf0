"""Upgrading a home: the migrations of its database, while no service runs on it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from api.operator.homes import at_home, open_database, recorded_database
from api.runtime.home_lock import HomeLocked, locked_home
from api.runtime.settings import Settings
from ledger.store.revisions import Migrated, revision_of, upgrade
from ledger.store.sole import sole

WAIT_S = 5.0
"""How long an upgrade waits for another one that runs on the same home."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The result of an upgrade: the database, its revisions before and after, and the migrations that were
    run."""

    database: str
    before: str | None
    after: str | None
    migrations: tuple[Migrated, ...]


def upgrade_home(settings: Settings) -> Upgraded:
    """Migrate the database of a home to the newest revision. Raises `HomeLocked` or `StoreHeld` while a
    service runs, `StoreNewer`, `StoreUnknown` and `ForeignObject` before anything is changed."""
    home, settings = at_home(settings)
    with ExitStack() as stack:
        _lock(stack, home.path)
        engine = open_database(home, settings, older=True)
        try:
            with sole(engine):
                before = _revision(engine)
                done = tuple(upgrade(engine))
                return Upgraded(
                    recorded_database(settings.database_url, home.path), before, _revision(engine), done
                )
        finally:
            engine.dispose()


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return revision_of(connection)


def _lock(stack: ExitStack, home: Path) -> None:
    """Lock the home until the stack is closed; wait for another upgrade."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            stack.enter_context(locked_home(home))
            return
        except HomeLocked:
            if time.monotonic() >= until:
                raise
        time.sleep(0.1)
