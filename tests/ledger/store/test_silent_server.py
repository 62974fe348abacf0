"""A PostgreSQL that accepts connections and does not answer: callers get an error, and it is tried again
later."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel

from ledger.store import answering
from ledger.store.engine import StoreUnavailable, open_engine, unavailable
from ledger.store.sole import sole
from tests.simulators.silent_proxy import SilentProxy

pytestmark = pytest.mark.needs("postgresql")


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[SilentProxy]:
    url = make_url(postgres_url)
    host, port = str(url.host or url.query.get("host")), url.port or int(str(url.query.get("port", 5432)))
    folder = str(url.query.get("host", host))
    made = SilentProxy(f"{folder}/.s.PGSQL.{port}" if folder.startswith("/") else (host, port))
    yield made
    made.close()


@pytest.fixture
def engine(postgres_url: str, proxy: SilentProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(answering, "ANSWER_S", 1.0)
    url = make_url(postgres_url).set(host="127.0.0.1", port=proxy.port, query={})
    opened = open_engine(url.render_as_string(hide_password=False))
    yield opened
    opened.dispose()


def test_a_statement_without_an_answer_ends_and_the_next_one_is_answered(
    engine: Engine, proxy: SilentProxy
) -> None:
    began = time.monotonic()
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        proxy.fall_silent()
        with pytest.raises(SQLAlchemyError) as failed:
            connection.execute(text("SELECT 1"))
    assert isinstance(unavailable(failed.value), StoreUnavailable)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 2")).scalar_one() == 2
    assert time.monotonic() - began < 15


def test_a_commit_without_an_answer_ends(engine: Engine, proxy: SilentProxy) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        proxy.fall_silent()
        with pytest.raises(SQLAlchemyError) as failed:
            connection.commit()
    assert isinstance(unavailable(failed.value), StoreUnavailable)


def test_lock_of_a_silent_session_is_released_and_taken_again(engine: Engine, proxy: SilentProxy) -> None:
    SQLModel.metadata.create_all(engine)
    with sole(engine) as held:
        held.claim("a home", 31337, "0x" + "11" * 20)
        first = held._session
        proxy.fall_silent()
        until = time.monotonic() + 20
        while held._session in (None, first):
            assert time.monotonic() < until
            time.sleep(0.1)


def test_service_with_a_silent_database_stops_in_time(engine: Engine, proxy: SilentProxy) -> None:
    with sole(engine):
        proxy.fall_silent(new=True)
        began = time.monotonic()
    assert time.monotonic() - began < 15


def test_a_connection_whose_other_end_vanished_is_ended_by_the_system(engine: Engine) -> None:
    with engine.connect() as connection:
        given = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
    assert {name: given.get(name) for name in answering.SOCKET} == {
        name: str(value) for name, value in answering.SOCKET.items()
    }
