"""What a service would work with: each setting with its source, and a check of everything that it reads at its start.

Nothing here changes a file: the check also runs beside the service.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.operator.home_chain import must_be_chain_of, open_chain
from api.operator.homes import (
    KEY_FILES,
    OLDER_CHAIN,
    at_home,
    must_be_followed,
    must_have_public_url,
    open_database,
    recorded_database,
    without_secret,
)
from api.operator.vault import read_vault
from api.protocol.errors import ClientError
from api.protocol.keystore import open_ed25519, open_secp256k1
from api.runtime.marks import had_log, mark_file
from api.runtime.settings import Home, HomeError, Settings, read_home, read_passphrase
from api.runtime.timestamping import service_of
from api.runtime.upkeep import retention_of
from ledger.chain.node_urls import node_urls
from ledger.errors import LedgerError
from ledger.store.engine import unavailable

Origin = Literal["option", "environment", "home", "default"]

HIDDEN = "(hidden)"
"""Stands for a secret that is given."""

RECORDED = ("database_url", "rpc_url", "public_url")
"""The settings that a home records."""


class FileUnusable(HomeError):
    """The service may not read or write a file or directory of its installation."""

    code = "home.file"


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """A setting: its variable, its value as JSON without secrets, and its source."""

    name: str
    value: object
    origin: Origin

    @property
    def variable(self) -> str:
        return f"CIVIC_{self.name.upper()}"


def shown_settings(settings: Settings, options: Set[str]) -> list[ShownSetting]:
    """Every setting in the order of `Settings`. ``options`` names those of the command line.

    What the environment leaves open and the home records has the home's value. A home that cannot be read adds nothing.
    """
    recorded: Mapping[str, str] = {}
    with suppress(HomeError):
        home = read_home(settings.home)
        recorded = {name: getattr(home, name) for name in ("rpc_url", "public_url") if getattr(home, name)}
        recorded = {**recorded, "database_url": home.database_url} if home.database else recorded
    shown = []
    for name in Settings.model_fields:
        if name in options:
            origin: Origin = "option"
        elif name in settings.model_fields_set:
            origin = "environment"
        else:
            origin = "home" if recorded.get(name) else "default"
        value = recorded[name] if origin == "home" else settings.model_dump(mode="json")[name]
        shown.append(ShownSetting(name, _public(name, value, settings.home), origin))
    return shown


def _public(name: str, value: object, home: Path) -> object:
    """The value without secrets."""
    if name == "passphrase":
        return HIDDEN if value else ""
    if name == "database_url" and value:
        return recorded_database(str(value), home)
    if name == "rpc_url":
        return " ".join(map(without_secret, node_urls(str(value))))
    if name == "witnesses" and isinstance(value, Mapping):
        return {without_secret(str(url)): key for url, key in value.items()}
    return without_secret(value) if isinstance(value, str) and "://" in value else value


State = Literal["ok", "failed", "not-checked"]
Fault = LedgerError | ClientError


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; ``fault`` names code and next step of a failed one."""

    part: str
    state: State
    fault: Fault | None = None


@dataclass(slots=True)
class _Checked:
    """What the checks read one after the other."""

    given: Settings
    stack: ExitStack
    home: Home = field(init=False)
    settings: Settings = field(init=False)
    engine: Engine | None = None


Check = Callable[[_Checked], Iterable[Fault]]


def check_configuration(settings: Settings) -> list[Finding]:
    """Read everything that ``civic serve`` reads at its start, in its order, and report each part.

    A part that needs a failed one is not checked.
    """
    findings: list[Finding] = []
    with ExitStack() as stack:
        checked = _Checked(settings, stack)
        for part, needs, check in _CHECKS:
            failed = {one.part for one in findings if one.state != "ok"}
            if failed & set(needs):
                findings.append(Finding(part, "not-checked"))
                continue
            faults = _faults(check, checked)
            findings += [Finding(part, "failed", fault) for fault in faults] or [Finding(part, "ok")]
    return findings


def _faults(check: Check, checked: _Checked) -> list[Fault]:
    try:
        return list(check(checked))
    except (LedgerError, ClientError) as fault:
        return [fault]
    except OSError as refused:
        name = refused.filename or "a file"
        return [FileUnusable(f"{name}: {refused.strerror}", hint="check the path and its rights")]
    except SQLAlchemyError as failed:
        silent = unavailable(failed)
        if silent is None:
            raise
        return [silent]


def _home(checked: _Checked) -> Iterable[Fault]:
    checked.home, checked.settings = at_home(checked.given)
    return ()


def _public_url(checked: _Checked) -> Iterable[Fault]:
    must_have_public_url(checked.settings)
    return ()


def _files(checked: _Checked) -> Iterable[Fault]:
    """The service's user reads and writes everything in the home, and the directory of the high-water mark."""
    inside = [path for path in sorted(checked.home.path.rglob("*")) if not path.is_symlink()]
    for path in (checked.home.path, *inside, _existing(mark_file(checked.home, checked.settings).parent)):
        if not os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)):
            yield FileUnusable(
                f"{path} cannot be read and written", hint="give it to the user of the service: chown"
            )


def _existing(folder: Path) -> Path:
    """The directory, or the nearest one above it that is there."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def _keys(checked: _Checked) -> Iterable[Fault]:
    """The passphrase opens each key."""
    passphrase = read_passphrase(checked.settings)
    for name in KEY_FILES:
        try:
            _OPENED[name](checked.home.keys / f"{name}.json", passphrase)
        except (LedgerError, ClientError) as fault:
            yield fault


_OPENED: Mapping[str, Callable[[Path, str], object]] = {
    "relayer": open_secp256k1,
    "log": open_ed25519,
    "gateway": open_ed25519,
    "attest": open_secp256k1,
    "vault": read_vault,
}


def _database(checked: _Checked) -> Iterable[Fault]:
    """The log is there, of this version and of this home. A home that had no log has nothing to check."""
    if had_log(checked.home, checked.settings):
        checked.engine = open_database(checked.home, checked.settings)
        checked.stack.callback(checked.engine.dispose)
    return ()


def _chain(checked: _Checked) -> Iterable[Fault]:
    """The chain answers, has the home's contracts, and is the one that the database has followed."""
    home, settings = checked.home, checked.settings
    chain = checked.stack.enter_context(open_chain(home, settings, reading=True))
    must_be_chain_of(home, chain)
    if checked.engine is not None and not (home.path / OLDER_CHAIN).exists():
        must_be_followed(home, settings, chain, checked.engine)
    return ()


def _retention(checked: _Checked) -> Iterable[Fault]:
    retention_of(checked.home, checked.settings)
    return ()


def _timestamps(checked: _Checked) -> Iterable[Fault]:
    service_of(checked.settings)
    return ()


_CHECKS: tuple[tuple[str, tuple[str, ...], Check], ...] = (
    ("home", (), _home),
    ("public-url", ("home",), _public_url),
    ("files", ("home",), _files),
    ("keys", ("home",), _keys),
    ("database", ("home",), _database),
    ("chain", ("home", "database"), _chain),
    ("retention", ("home",), _retention),
    ("timestamps", ("home",), _timestamps),
)
"""Each part with the parts it needs, in the order of the service's start."""
