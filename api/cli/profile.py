"""A profile: the directory of one person or machine of a department.

``profile.json`` has the default service, department and keys. The directory also has ``trust.json`` (the pinned
trust file), ``keys/``, ``state/`` (the newest checkpoint seen) and ``receipts/`` (evidence).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.cli.failures import Refused
from api.cli.passphrases import Passphrases
from api.protocol.errors import ProfileError
from api.sdk.errors import ServiceProblem
from api.terminal.language import language, say
from languages.texts import listed
from ledger.small_files import read_small

if TYPE_CHECKING:
    from api.protocol.trust import Trust
    from api.sdk.client import Civic
    from ledger.audit.verify.receipts import Receipt

FILE = "profile.json"
WITNESS_MINUTES = 10
MOST_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile directory as read. ``officer`` and ``service`` are names of key files, or empty; ``witnesses`` maps
    names of witnesses of the trust file to their addresses; ``witness_minutes`` is the maximum age of the quorum's
    cosignatures."""

    path: Path
    url: str
    department: int
    name: str
    officer: str = ""
    service: str = ""
    witnesses: Mapping[str, str] = field(default_factory=dict)
    witness_minutes: int = WITNESS_MINUTES

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def trust_file(self) -> Path:
        return self.path / "trust.json"

    @property
    def receipts(self) -> Path:
        return self.path / "receipts"

    def trust(self) -> Trust:
        """The pinned trust file; ProfileError if it is missing or damaged."""
        from api.protocol.trust import Trust

        return Trust.read(self.trust_file)

    def key_path(self, key: str) -> Path:
        """The path of a key: a name in ``keys/``, or a path."""
        return key_path(key, self)

    @contextmanager
    def public(self) -> Iterator[Civic]:
        """A connection without a key: for public data, and for acts, which carry their own signatures."""
        with self._open(None) as civic:
            yield civic

    @contextmanager
    def connect(self, passphrases: Passphrases, key: str = "") -> Iterator[Civic]:
        """A connection that signs its calls with the profile's service key."""
        from api.protocol.keystore import open_ed25519
        from api.sdk.transport import ServiceKey

        name = key or self.service
        if not name:
            raise ProfileError(
                say("this profile names no service key"),
                hint=f"civic keys new service --kind service --profile {self.path}",
            )
        path = self.key_path(name)
        private = open_ed25519(path, passphrases.of(path))
        with self._open(ServiceKey(self.department, private)) as civic:
            yield civic

    @contextmanager
    def _open(self, key: Any) -> Iterator[Civic]:
        from api.sdk.client import Civic
        from api.sdk.witnesses import Watch

        trust, watch = self.trust(), Watch(60.0 * self.witness_minutes, self.witnesses)
        must_be_trusted(self.witnesses, trust)
        with Civic(self.url, trust, self.path / "state", key, watch=watch) as civic:
            try:
                yield civic
            except ServiceProblem as problem:
                receipt = None
                if problem.receipt is not None:
                    receipt = self.keep(problem.receipt, problem.document.get("call"))
                raise Refused(problem, receipt) from problem

    def keep(self, receipt: Receipt | str | object, call: object = None) -> Path:
        """Keep a receipt as ``receipts/<entry>.tlog-proof``; a newer one of the same entry replaces it.

        ``call`` is the disclosure that proves the entry to be about one call of this profile. It is kept beside the
        receipt as ``<entry>.call``, because only this caller gets it.
        """
        from ledger.audit.verify.receipts import Receipt

        parsed = receipt if isinstance(receipt, Receipt) else Receipt.parse(str(receipt))
        self.receipts.mkdir(parents=True, exist_ok=True)
        path = self.receipts / f"{parsed.index:08d}.tlog-proof"
        _write(path, str(parsed))
        if isinstance(call, str):
            _write(path.with_suffix(".call"), call + "\n")
        return path

    def to_json(self) -> dict[str, Any]:
        """The content of ``profile.json``."""
        return {
            "url": self.url,
            "department": self.department,
            "name": self.name,
            "officer": self.officer,
            "service": self.service,
            "witnesses": dict(self.witnesses),
            "witness_minutes": self.witness_minutes,
        }

    def write(self) -> None:
        """Write ``profile.json`` atomically."""
        self.path.mkdir(parents=True, exist_ok=True)
        temporary = self.path / f".{FILE}.{os.getpid()}.new"
        temporary.write_text(json.dumps(self.to_json(), ensure_ascii=False, indent=1) + "\n", "utf-8")
        temporary.replace(self.path / FILE)


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.new")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def profile_directory(given: Path | None) -> Path:
    """``--profile``, or CIVIC_PROFILE; ProfileError when neither is set."""
    chosen = given or (Path(os.environ["CIVIC_PROFILE"]) if os.environ.get("CIVIC_PROFILE") else None)
    if chosen is None:
        raise ProfileError(say("no profile directory is named"))
    return chosen


def read_profile(given: Path | None) -> Profile:
    """The chosen profile; ProfileError names what is missing or damaged. CIVIC_URL replaces its address."""
    from ledger.audit.verify.strict import read_once

    path = profile_directory(given)
    try:
        document = read_once(read_small(path / FILE))
    except FileNotFoundError as missing:
        raise ProfileError(
            say("there is no profile in {path}", path=path),
            hint="make one with: civic profile init",
        ) from missing
    except (OSError, ValueError) as damaged:
        raise ProfileError(say("{path} cannot be read", path=path / FILE)) from damaged
    try:
        profile = Profile(
            path,
            os.environ.get("CIVIC_URL") or _text(document, "url"),
            document["department"],
            _name(document),
            _text(document, "officer", ""),
            _text(document, "service", ""),
            _addresses(document.get("witnesses", {})),
            document.get("witness_minutes", WITNESS_MINUTES),
        )
    except (KeyError, TypeError, AttributeError) as damaged:
        raise ProfileError(say("{path} lacks a member or has a bad one", path=path / FILE)) from damaged
    if type(profile.department) is not int or not 0 < profile.department < 1 << 24:
        raise ProfileError(say("the profile's department is not a number"))
    if type(profile.witness_minutes) is not int or not 0 < profile.witness_minutes <= MOST_MINUTES:
        raise ProfileError(
            say("witness_minutes is not a number from 1 to {most_minutes}", most_minutes=MOST_MINUTES)
        )
    return profile


def key_path(key: str, profile: Profile | None) -> Path:
    """A key named on the command line or in the profile: a path, or a file in the profile's ``keys/``."""
    if "/" in key or "\\" in key or profile is None:
        return Path(key)
    if not re.fullmatch(r"[\w.-]+", key):
        raise ProfileError(say("not a name for a key: {key!r}", key=key[:60]))
    return profile.keys / (key if key.endswith(".json") else f"{key}.json")


def _name(document: Any) -> str:
    """A profile's name: a text, or one in each language."""
    value = document.get("name", "")
    if isinstance(value, dict):
        value = value.get(language()) or next(iter(value.values()), "")
    if not isinstance(value, str):
        raise TypeError("name")
    return value


def must_be_trusted(witnesses: Mapping[str, str], trust: Trust) -> None:
    """ProfileError for a witness that the trust file does not name, or for an invalid address."""
    strange = sorted(witnesses.keys() - {witness.name for witness in trust.witnesses})
    if strange:
        raise ProfileError(say("the trust file names no such witness: {strange}", strange=listed(strange)))
    if wrong := [url for url in witnesses.values() if not url.startswith(("http://", "https://"))]:
        raise ProfileError(say("this is no http(s) address: {wrong}", wrong=wrong[0][:60]))


def _addresses(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(url, str) for url in value.values()):
        raise TypeError("witnesses")
    return value


def _text(document: Any, name: str, otherwise: str | None = None) -> str:
    value = document[name] if otherwise is None else document.get(name, otherwise)
    if not isinstance(value, str):
        raise TypeError(name)
    return value
