"""The recorded facts of a home: a command with contradicting settings is refused before it opens anything.

The home records its mode, its chain, the database of its log and its public address, all without secrets.
Settings that the environment does not give are taken from the record. If the home had a log, an empty or
missing database is an error; it is never treated as a new log.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from sqlalchemy import URL, Engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from api.protocol.keystore import key_info
from api.runtime.marks import had_log, open_mark
from api.runtime.settings import IN_HOME, Home, HomeError, Settings, SettingsInvalid, read_home
from ledger.audit.formats.errors import NoSuchEntry, RollbackDetected
from ledger.audit.formats.note import VerifierKey
from ledger.audit.log.reading import LogReader
from ledger.chain.client import ChainClient
from ledger.chain.node_urls import node_urls
from ledger.projection.commit import read_cursor
from ledger.store.engine import StoreUnavailable, open_engine, reader
from ledger.store.foreign import must_be_ours
from ledger.store.revisions import must_be_current
from ledger.store.sole import owner_of, sole

OLDER_CHAIN = "older-chain"
"""The file by which an operator confirms that the chain was restored from a backup; it is valid for one
start."""
KEY_FILES = ("relayer", "log", "gateway", "attest", "vault")


class HomeContradicted(HomeError):
    """A setting contradicts the record of the home."""

    code = "home.contradicted"


class DatabaseMissing(HomeError):
    """The database of the home has no log."""

    code = "home.database-missing"


class DatabaseUnreachable(HomeError):
    """The home's database does not answer or is damaged."""

    code = "home.database-unreachable"


class PublicUrlMissing(HomeError):
    """A service in production mode that others reach needs the address that they sign."""

    code = "settings.public-url"


class ChainOlder(HomeError):
    """The home's chain is not the one that its database has followed."""

    code = "home.chain-older"


def at_home(settings: Settings) -> tuple[Home, Settings]:
    """The home of these settings, and the settings completed from its record; HomeError if they contradict
    each other."""
    home = read_home(settings.home)
    must_fit_mode(home, settings)
    if settings.database_url and home.database:
        given, made = _identity(settings.database_url), _identity(home.database_url)
        if given != made:
            raise HomeContradicted(
                f"the log of this home is in {recorded_database(home.database_url, home.path)}, CIVIC_DATABASE_URL says"
                f" {recorded_database(settings.database_url, home.path)}",
                hint="leave CIVIC_DATABASE_URL out, or, where the log was moved: civic home move",
            )
    if settings.public_url and home.public_url and settings.public_url != home.public_url:
        raise HomeContradicted(
            f"the public address of this home is {home.public_url}, CIVIC_PUBLIC_URL says {settings.public_url}",
            hint="leave CIVIC_PUBLIC_URL out, or, where the address changed: civic home move",
        )
    return home, settings.model_copy(
        update={
            "database_url": settings.database_url or home.database_url,
            "rpc_url": settings.rpc_url or home.rpc_url,
            "public_url": settings.public_url or home.public_url,
        }
    )


def must_have_public_url(settings: Settings) -> None:
    """PublicUrlMissing in production mode without a public URL, unless the service listens on loopback only.

    Callers sign the address that they call (RFC 9421, ``@target-uri``). Without a stated address the service accepts
    every name by which a connection reaches it.
    """
    if settings.production and not settings.public_url and not _is_loopback(settings.host):
        raise PublicUrlMissing(
            f"in production mode a service that listens on {settings.host} needs its public address",
            hint="set CIVIC_PUBLIC_URL to the address that callers use, or listen on 127.0.0.1",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_database(
    home: Home, settings: Settings, *, new: bool = False, checked: bool = True, older: bool = False
) -> Engine:
    """The database of the home's log. ``new``: it may have no log yet if the home never had one.

    Raises `DatabaseMissing` before anything is created, `DatabaseUnreachable` if it does not answer,
    `StoreOlder` and `StoreNewer` if its tables are those of another version, unless they are to be upgraded
    (``older``), and, with ``checked``, `ForeignObject` if its schema has objects that are not the service's.
    """
    url = _parsed(settings.database_url)
    had_one = had_log(home, settings)
    if new and not had_one:
        return _own(home, open_engine(settings.database_url), checked, older)
    where = recorded_database(settings.database_url, home.path)
    missing = DatabaseMissing(
        f"there is no log in {where}, and this home had one"
        if had_one
        else f"there is no log in {where} yet",
        hint="put the database back from a backup, or check CIVIC_DATABASE_URL"
        if had_one
        else "civic serve makes it",
    )
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise missing
    silent = DatabaseUnreachable(
        f"the database {where} does not answer, or is damaged",
        hint="is it running, and has CIVIC_DATABASE_URL its password? The home does not record it",
    )
    try:
        engine = open_engine(settings.database_url)
    except StoreUnavailable as refused:
        raise silent from refused
    try:
        with reader(engine).connect() as connection:
            found = inspect(connection).has_table("audit_state")
            row = text("SELECT id FROM audit_state")
            found = found and (older or connection.execute(row).first() is not None)
    except SQLAlchemyError as failed:
        engine.dispose()
        raise silent from failed
    if not found:
        engine.dispose()
        raise missing
    return _own(home, engine, checked, older)


def must_be_of_this_version(home: Home, settings: Settings) -> None:
    """Raises what `open_database` raises, before anything else is opened; nothing if there is no database
    yet."""
    url = _parsed(settings.database_url)
    if url.get_backend_name() != "sqlite" or Path(url.database or "").is_file():
        open_database(home, settings, new=True).dispose()


def _own(home: Home, engine: Engine, checked: bool, older: bool) -> Engine:
    """The engine, if the database has the current revision, no other home as its owner, and no foreign
    objects; otherwise it is closed and an error is raised."""
    try:
        with reader(engine).connect() as connection:
            if not older:
                must_be_current(connection)
                if checked:
                    must_be_ours(connection)
        owner = owner_of(reader(engine))
        if owner is not None and owner != (home.id or owner[0], home.chain_id, home.ledger):
            raise HomeContradicted(
                f"the database {engine.url.render_as_string(hide_password=True)} belongs to another home",
                hint="check CIVIC_DATABASE_URL: every home has a database of its own",
            )
    except BaseException:
        engine.dispose()
        raise
    return engine


def must_be_the_chain(home: Home, settings: Settings, chain: ChainClient, engine: Engine) -> None:
    """Raise `ChainOlder` if the embedded chain of this home, for example of an older copy of it, is not the
    one that a database outside the home has followed. A node's chain may reorganise; a database in the home
    is copied with its chain."""
    mark = home.path / OLDER_CHAIN
    elsewhere = recorded_database(settings.database_url, home.path) != IN_HOME
    if mark.exists() and elsewhere and not settings.rpc_url:
        mark.unlink()
        return
    must_be_followed(home, settings, chain, engine)


def must_be_followed(home: Home, settings: Settings, chain: ChainClient, engine: Engine) -> None:
    """The check of `must_be_the_chain`; changes nothing. Not for a home that is marked with `OLDER_CHAIN`."""
    if settings.rpc_url or recorded_database(settings.database_url, home.path) == IN_HOME:
        return
    with reader(engine).connect() as connection:
        cursor = read_cursor(connection)
    if cursor is None:
        return
    if (
        cursor.block_number > chain.head().number
        or chain.block(cursor.block_number).hash != cursor.block_hash
    ):
        raise ChainOlder(
            f"the database has followed the chain to block {cursor.block_number}, which is not in {home.chain_file}",
            hint="use the home that ran last on this database; where its chain is lost for good: civic home move"
            " --older-chain",
        )


def remember(home: Home, settings: Settings, engine: Engine) -> Home:
    """Record what the home has not recorded yet: its id, the database of its log, that it has begun, and its
    public address."""
    owner = None if home.id else owner_of(engine)
    made = replace(
        home,
        id=home.id or (owner[0] if owner else secrets.token_hex(16)),
        database=home.database or recorded_database(settings.database_url, home.path),
        public_url=home.public_url or settings.public_url,
        begun=True,
    )
    if made != home:
        made.write()
    return made


def moved(home: Home, settings: Settings) -> Home:
    """The home with the database, node and address of the settings instead of the recorded ones.

    The database must hold this home's log, at least up to the high-water mark, and the node must be on its
    chain.
    """
    made = replace(home, public_url=settings.public_url or home.public_url)
    if settings.rpc_url:
        from ledger.chain.several import open_nodes

        open_nodes(settings.rpc_url, home.chain_id).head()
        made = replace(made, rpc_url=without_secrets(settings.rpc_url))
    if settings.database_url:
        engine = open_database(home, settings)
        try:
            with sole(engine):
                must_be_log_of(home, settings, LogReader(engine))
        finally:
            engine.dispose()
        made = replace(made, database=recorded_database(settings.database_url, home.path))
    return made


def must_be_log_of(home: Home, settings: Settings, log: LogReader) -> None:
    """Raise `HomeContradicted` unless a log is this home's, up to its high-water mark at least."""
    from api.operator.installation import log_key_of

    key = log_key_of(home)
    keys = [VerifierKey.parse(one["vkey"]) for one in log.key_history(key.name, log.size)]
    try:
        mark = open_mark(home, settings).read(keys)
        holds = key in keys and (mark is None or log.root_at(mark.size) == mark.root)
    except (NoSuchEntry, RollbackDetected):
        holds = False
    if not holds:
        raise HomeContradicted(
            "the log in that database is not the one of this home, or an older copy of it",
            hint="move the newest copy; after a loss see docs/audit.md, new epoch",
        )


def recorded_database(database_url: str, home: Path) -> str:
    """A database URL in the form that the home records: without secrets, and `IN_HOME` for the home's own
    file."""
    url = _parsed(database_url)
    if url.get_backend_name() == "sqlite":
        file = Path(url.database or "").resolve()
        return IN_HOME if file == (home / IN_HOME).resolve() else f"sqlite:///{file}"
    query = {name: value for name, value in url.query.items() if "password" not in name.lower()}
    plain = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query)
    return plain.render_as_string(hide_password=False)


def without_secrets(urls: str) -> str:
    """One or several addresses without user and password."""
    return " ".join(map(without_secret, node_urls(urls)))


def without_secret(url: str) -> str:
    """One address without the user and password before its host."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def must_fit_mode(home: Home, settings: Settings) -> None:
    """HomeError if production mode is set for a demo's home or a demo's keys."""
    if not settings.production:
        return
    marked = [
        name
        for name in KEY_FILES
        if (home.keys / f"{name}.json").exists() and key_info(home.keys / f"{name}.json").demo
    ]
    if home.mode == "demo" or marked:
        raise HomeError(
            "this home was made for a demo: its keys are public",
            hint="make a home for production with: civic init",
        )


def _identity(database_url: str) -> tuple[str, ...]:
    """The parts of a URL that identify its database, without user, password and driver."""
    url = _parsed(database_url)
    if url.get_backend_name() == "sqlite":
        return "sqlite", str(Path(url.database or "").resolve())
    hosts = url.host or url.query.get("host", "")
    host = ",".join(hosts) if isinstance(hosts, tuple) else hosts
    port = url.port or url.query.get("port", "5432")
    return url.get_backend_name(), host.lower(), str(port), url.database or ""


def _parsed(database_url: str) -> URL:
    try:
        url = make_url(database_url)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError) as bad:
        raise SettingsInvalid(
            "CIVIC_DATABASE_URL is not a database URL", hint="postgresql://user@host/name"
        ) from bad
    if backend not in ("sqlite", "postgresql") or (backend == "sqlite" and not url.database):
        raise SettingsInvalid(
            f"CIVIC_DATABASE_URL names {backend}",
            hint="postgresql://user@host/name or sqlite:////path/to/file",
        )
    return url
