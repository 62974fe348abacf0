"""The operator's settings: command-line options, then environment variables with the prefix ``CIVIC_``.

The home directory is one installation: chain, database, keys and data. The high-water mark of the log is outside
it, so that restoring the home does not restore the mark. ``civic.json`` in the home records what it was created
with; `api.operator.homes` compares that with the settings of a command.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from api.protocol.addresses import parse_base
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.note import COSIGNATURE, VerifierKey
from ledger.chain.limits import GWEI, MOST_FEE
from ledger.chain.node_urls import node_urls
from ledger.errors import LedgerError
from ledger.small_files import read_text

IN_HOME = "ledger.sqlite"
"""The default database of an installation: a file in its home."""

FORMAT = 1
"""The version of the home directory's layout; another number is refused."""


SERVICE_PORT = 8600
"""The default port of ``civic serve``."""


class HomeError(LedgerError):
    """The home directory is missing, damaged or of another version."""

    code = "home.invalid"


class SettingsInvalid(HomeError):
    """An environment variable has an impossible value."""

    code = "settings.invalid"


def listening_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``[HOST]:PORT``; ValueError for another text."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", text, re.ASCII)
    if found is None or int(found[3]) > 65_535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return found[1] or found[2], int(found[3])


class Settings(BaseSettings):
    """Process settings. Every field is also an environment variable ``CIVIC_<NAME>``; SettingsInvalid for a bad one."""

    model_config = SettingsConfigDict(env_prefix="CIVIC_", extra="ignore", env_ignore_empty=True)

    home: Path = Field(default=Path("city"), description="the installation's directory")
    host: str = Field(default="127.0.0.1", description="the address on which the service listens")
    port: int = Field(
        default=SERVICE_PORT,
        ge=0,
        le=65535,
        description="its port; 0: a free one. The default of `chain serve` is 8545, of `witness serve` 8700",
    )
    public_url: str = Field(
        default="",
        description="the service's own base URL, which callers sign; empty: what the home records, else the address a connection arrives at. In production needed beyond loopback",
    )
    database_url: str = Field(
        default="",
        description="PostgreSQL URL; empty: what the home records, at first SQLite in the home directory",
    )
    rpc_url: str = Field(
        default="",
        description="JSON-RPC of an EVM node, or of several, separated by spaces or commas, of which more than half must agree (`docs/chain.md`); empty: what the home records, else the embedded chain",
    )
    passphrase: str = Field(
        default="", repr=False, description="the passphrase of the keys; better in a file, see below"
    )
    passphrase_file: Path | None = Field(
        default=None, description="the file that holds it; has precedence over `CIVIC_PASSPHRASE`"
    )
    production: bool = Field(
        default=False,
        description="refuse demo homes, demo keys, `civic demo`, and a service that others reach without its public URL",
    )
    call_max_age_s: int = Field(
        default=60, ge=5, le=600, description="the greatest age of a call's signature"
    )
    idempotency_keep_s: int = Field(
        default=86_400,
        ge=1,
        description="how long an idempotency key gives its answer again; refused afterwards",
    )
    chain_outage_s: int = Field(
        default=300, ge=5, description="no new releases when the chain was out of reach this long"
    )
    most_fee_gwei: int = Field(
        default=MOST_FEE // GWEI,
        ge=0,
        le=1_000_000,
        description="the most that a transaction pays for a unit of gas; an act that needs more waits, and `/v1/status` says so; 0 on chains without fees",
    )
    confirmations: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="blocks that must follow a block of a node's chain before it counts; the embedded chain has no forks",
    )
    clock_is: datetime | None = Field(
        default=None,
        description="the time by another clock, for a start after a long pause: the machine's must be near it",
    )
    anchor_every_s: int = Field(
        default=60, ge=1, description="how often the newest head is anchored on chain"
    )
    anchor_every_entries: int = Field(
        default=10_000, ge=1, description="new entries after which it is anchored earlier"
    )
    record_use_every_s: int = Field(default=3_600, ge=1, description="how often totals of use go on chain")
    witnesses: dict[str, str] = Field(
        default_factory=dict,
        description="JSON: URL of a witness -> its verifier key; asked to cosign every anchored head",
    )
    cosign_every_s: int = Field(
        default=60, ge=1, description="how often the witnesses are asked to cosign the newest head"
    )
    high_water: Path | None = Field(
        default=None,
        description="directory of the log's high-water mark, best on another disk; none: `<home>.high-water` beside the home",
    )
    retention_file: Path | None = Field(
        default=None,
        description="JSON: how long openings and leaves are kept; none: `<home>/retention.json`, else the standard",
    )
    retention_every_s: int = Field(default=86_400, ge=1, description="how often openings are looked through")
    timestamp_url: str = Field(default="", description="RFC 3161 service; empty: heads are not timestamped")
    timestamp_roots: Path | None = Field(
        default=None, description="PEM: the root certificates to which its timestamps must chain"
    )
    timestamp_every_s: int = Field(
        default=3_600, ge=1, description="how often the newest head is timestamped"
    )
    log: Literal["text", "json"] = Field(
        default="text", description="the form of the service's log on standard error"
    )
    metrics: str = Field(
        default="",
        description="host and port of the figures for Prometheus, such as 127.0.0.1:9100; empty: none",
    )
    cpus: Literal["one", "all"] = Field(
        default="one",
        description="where the service's threads run; the scanning processes run on all processors either way",
    )
    scan_workers: int = Field(
        default=2, ge=1, le=32, description="scans at once; one department has at most all but one of them"
    )
    scan_streams: int = Field(
        default=4, ge=1, le=64, description="large answers that leave at once, each with a process of its own"
    )
    scan_timeout_s: float = Field(
        default=120.0, gt=0, description="from the first byte of a scan to its last"
    )
    scan_wait_s: float = Field(default=10.0, ge=0, description="how long a call waits for a scanning process")
    department_streams: int = Field(default=2, ge=1, description="of them, one department's")
    reads: int = Field(default=64, ge=1, le=1024, description="calls for data at once")
    department_reads: int = Field(default=16, ge=1, description="of them, one department's")
    uploads: int = Field(default=8, ge=1, le=256, description="files handed in at once")
    department_uploads: int = Field(default=2, ge=1, description="of them, one department's")
    department_acts_waiting: int = Field(
        default=500, ge=1, description="acts of one department that are handed in and not recorded yet"
    )
    department_acts_hourly: int = Field(
        default=3_600, ge=1, description="acts that one department hands in within an hour"
    )
    department_act_bytes: int = Field(
        default=64 << 20, ge=1, description="bytes of them, with their documents, which are kept"
    )
    analyses: int = Field(default=8, ge=1, le=256, description="analyses of terms asked for at once")
    exports: int = Field(default=2, ge=1, le=64, description="bundles of the log made or sent at once")
    export_timeout_s: float = Field(default=600.0, gt=0, description="until a bundle of the log is made")
    connections: int = Field(default=512, ge=8, description="open connections in all")
    connections_per_address: int = Field(
        default=128, ge=0, description="open connections of one address; 0 (behind a proxy): any number"
    )
    head_bytes: int = Field(default=32 << 10, ge=4096, description="the head of a request")
    head_timeout_s: float = Field(default=10.0, gt=0, description="until the head of a request is there")
    body_timeout_s: float = Field(
        default=30.0,
        gt=0,
        description="until a body is there; longer by a second for each 16 KiB that arrived",
    )
    send_timeout_s: float = Field(
        default=30.0,
        gt=0,
        description="a reader who takes less than 16 KiB of what waits in this time is left",
    )
    buffer_bytes: int = Field(
        default=256 * 1024,
        ge=1024,
        description="answers up to this size are sent whole and signed with their digest",
    )
    upload_bytes: int = Field(default=2 << 30, ge=1, description="one data file that is handed in")
    department_bytes: int = Field(
        default=64 << 30, ge=1, description="the stored data files of all datasets that one department holds"
    )
    body_bytes: int = Field(default=1 << 20, ge=1024, description="the body of any other request")

    def port_or(self, own: int) -> int:
        """The given port, or else the command's own default."""
        return self.port if "port" in self.model_fields_set else own

    @field_validator("witnesses")
    @classmethod
    def _witness_keys(cls, witnesses: dict[str, str]) -> dict[str, str]:
        for url, text in witnesses.items():
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{url!r} is not an http(s) URL")
            try:
                key = VerifierKey.parse(text)
            except NoteInvalid as bad:
                raise ValueError(f"the key of {url}: {bad.message}") from bad
            if key.kind != COSIGNATURE:
                raise ValueError(f"the key of {url} is of type {key.kind}; give its Ed25519 key of type 4")
        return witnesses

    @field_validator("clock_is")
    @classmethod
    def _with_zone(cls, moment: datetime | None) -> datetime | None:
        if moment is not None and moment.tzinfo is None:
            raise ValueError("a time needs its zone, such as 2027-01-01T08:00:00+08:00")
        return moment

    @field_validator("rpc_url")
    @classmethod
    def _each_node_once(cls, urls: str) -> str:
        node_urls(urls)
        return urls

    @field_validator("metrics")
    @classmethod
    def _where_to_listen(cls, address: str) -> str:
        if address:
            listening_address(address)
        return address

    @field_validator("public_url")
    @classmethod
    def _one_spelling(cls, url: str) -> str:
        return parse_base(url).base if url else ""

    @classmethod
    def given(cls, **values: Any) -> Settings:
        """The settings with the command line's values before those of the environment; None means not given."""
        return cls(**{name: value for name, value in values.items() if value is not None})

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as bad:
            wrong = [f"CIVIC_{str(one['loc'][0]).upper()}: {one['msg']}" for one in bad.errors()]
            raise SettingsInvalid("; ".join(wrong), hint="correct the environment variable") from bad
        except SettingsError as bad:
            raise SettingsInvalid(str(bad), hint="this environment variable holds JSON") from bad


@dataclass(frozen=True, slots=True)
class Home:
    """The facts of an installation, written once by ``civic init`` (``<home>/civic.json``).

    ``deployment`` is the JSON form of the contracts' addresses and the salt under which they verify signatures.
    ``database`` is where the log was created, without secrets (`IN_HOME`: the home's own SQLite file; empty: not
    yet). ``rpc_url`` and ``public_url`` are the values at creation, if there were any. ``id`` is generated once;
    the database names it as its owner. ``begun`` says that the log was created.
    """

    path: Path
    mode: Literal["demo", "production"]
    chain_id: int
    deployment: dict[str, Any]
    rpc_url: str = ""
    epoch: int = 1
    database: str = ""
    public_url: str = ""
    id: str = ""
    begun: bool = False

    @property
    def file(self) -> Path:
        return self.path / "civic.json"

    @property
    def chain_file(self) -> Path:
        return self.path / "chain.sqlite"

    @property
    def database_url(self) -> str:
        """The recorded database; the home's own if none is recorded."""
        if self.database not in ("", IN_HOME):
            return self.database
        return f"sqlite:///{self.path / IN_HOME}"

    @property
    def ledger(self) -> str:
        """The address of the ledger contract, lower case."""
        return str(self.deployment["addresses"]["SharingLedger"]).lower()

    @property
    def high_water_folder(self) -> Path:
        """The default directory of the log's high-water mark: beside the home, never in it."""
        path = self.path.resolve()
        return path.with_name(f"{path.name}.high-water")

    @property
    def installation(self) -> str:
        """What tells installations apart: a digest of the chain and the contracts, the same in every copy of a home."""
        made = f"{self.chain_id}/{self.deployment['addresses']['AuditAnchor'].lower()}"
        return hashlib.sha256(made.encode()).hexdigest()[:16]

    @property
    def high_water_name(self) -> str:
        """The file name of the mark: the installation, a hyphen, and the epoch."""
        return f"{self.installation}-{self.epoch}"

    @property
    def high_water_file(self) -> Path:
        return self.high_water_folder / self.high_water_name

    @property
    def old_high_water_file(self) -> Path:
        """The path of the mark in earlier versions: in the home, with which it was restored."""
        return self.path / f"log-high-water-{self.epoch}"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def temporary(self) -> Path:
        """The directory of the service's temporary files; emptied whenever the home is opened."""
        return self.path / "temporary"

    @property
    def trust_file(self) -> Path:
        return self.path / "trust.json"

    def facts(self) -> dict[str, Any]:
        """What the installation was created with, for people; the home records no secret."""
        return {
            "home": str(self.path),
            "mode": self.mode,
            "epoch": self.epoch,
            "chain": self.rpc_url or "embedded",
            "chain_id": self.chain_id,
            "database": self.database,
            "public_url": self.public_url,
        }

    def write(self) -> None:
        """Write ``civic.json`` atomically."""
        document = asdict(self) | {"format": FORMAT}
        del document["path"]
        temporary = self.file.with_suffix(".new")
        with temporary.open("w") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.file)


def read_home(path: Path) -> Home:
    """Read an installation's facts; HomeError names the fault and the next step."""
    file = path / "civic.json"
    try:
        document: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError as missing:
        raise HomeError(
            f"{path} is not a Civic Ledger home directory", hint="make one with: civic init --home DIR"
        ) from missing
    except (OSError, ValueError) as damaged:
        raise HomeError(
            f"{file} cannot be read", hint="restore the home directory from a backup"
        ) from damaged
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise HomeError(f"{file} is of another version", hint="use the version of civic that made it")
    try:
        home = Home(path=path, **document)
        if home.mode not in ("demo", "production") or not isinstance(home.deployment, dict):
            raise ValueError(home.mode)
        if int(home.chain_id) < 1 or int(home.epoch) < 1:
            raise ValueError(home.chain_id)
    except (TypeError, ValueError) as damaged:
        raise HomeError(f"{file} is damaged", hint="restore the home directory from a backup") from damaged
    return replace(home, path=path)


def given_passphrase(settings: Settings) -> str | None:
    """The passphrase from the file or the environment; None if there is none, HomeError if the file cannot be read."""
    if settings.passphrase_file is None:
        return settings.passphrase or None
    try:
        return read_text(settings.passphrase_file).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as unreadable:
        raise HomeError(
            f"the passphrase file {settings.passphrase_file} cannot be read",
            hint="check --passphrase-file and CIVIC_PASSPHRASE_FILE",
        ) from unreadable


def read_passphrase(settings: Settings) -> str:
    """The passphrase of the installation's keys; HomeError if none is given."""
    given = given_passphrase(settings)
    if given is not None:
        return given
    demo = settings.home / "keys" / "demo-passphrase"
    if demo.is_file() and not settings.production:
        return demo.read_text().rstrip("\n")
    raise HomeError("the keys need their passphrase", hint="set CIVIC_PASSPHRASE_FILE or CIVIC_PASSPHRASE")
