"""Creates an installation: its chain, the contracts under a random salt, and the machine's keys.

Everything is created in a sibling directory and moved to the final path atomically, so a crash leaves no
partial home.
"""

from __future__ import annotations

import json as jsonlib
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from access_policy.privacy.execution.private_memory import keep_memory_private
from api.operator.homes import KEY_FILES, recorded_database, without_secrets
from api.operator.trust_document import origin_of, trust_document
from api.protocol.keystore import KeyInfo, Kind, create_key, key_info, open_secp256k1
from api.runtime.private_files import set_private_umask
from api.runtime.settings import Home, HomeError, Settings
from contracts.codes import COUNCIL_MAX
from ledger.audit.formats.note import ED25519, VerifierKey
from ledger.chain.client import ChainClient
from ledger.chain.contracts import deploy
from ledger.chain.deployment import Deployment
from ledger.ids import parse_address

_KINDS: dict[str, Kind] = {
    "relayer": "relayer",
    "log": "log",
    "gateway": "gateway",
    "attest": "attest",
    "vault": "vault",
}


@dataclass(frozen=True, slots=True)
class Installation:
    """A new installation: its facts and its public keys by name."""

    home: Home
    keys: dict[str, KeyInfo]

    def summary(self) -> dict[str, Any]:
        """The facts for the operator, without secrets."""
        return {
            "home": str(self.home.path),
            "mode": self.home.mode,
            "chain_id": self.home.chain_id,
            "contracts": dict(self.home.deployment["addresses"]),
            "attest_key": self.keys["attest"].public,
            "relayer": self.keys["relayer"].public,
            "trust": str(self.home.trust_file),
        }


def initialise(
    settings: Settings,
    passphrase: str,
    *,
    council: list[str],
    threshold: int,
    guardian: str | None = None,
    admission_delay: int = 86_400,
    relayer_key: Path | None = None,
    relayer_passphrase: str | None = None,
    mode: Literal["demo", "production"] = "production",
    before: Callable[[Home], object] = lambda _: None,
) -> Installation:
    """Create an installation at ``settings.home``, on the chain, for the database and the address that the settings
    name; HomeError if something exists there or the council is not given.

    ``before`` is called with the complete home before it is moved to its place: what belongs to an installation exists
    when the installation does.
    """
    set_private_umask()
    keep_memory_private()
    path, rpc_url = settings.home, settings.rpc_url
    database = recorded_database(settings.database_url, path) if settings.database_url else ""
    must_be_free_home(path)
    must_be_possible(council, threshold, guardian, admission_delay)
    must_be_paid(rpc_url, relayer_key)
    building = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    (building / "keys").mkdir(parents=True, mode=0o700)
    try:
        keys = _make_keys(building, passphrase, relayer_key, relayer_passphrase, demo=mode == "demo")
        home = _deploy(
            building,
            passphrase,
            keys,
            council,
            threshold,
            guardian or council[0],
            admission_delay,
            rpc_url,
            mode,
        )
        home = replace(home, database=database, public_url=settings.public_url, id=secrets.token_hex(16))
        log_key = log_key_of(home)
        trust = trust_document(home, log_key, keys["gateway"].public)
        home.trust_file.write_text(jsonlib.dumps(trust, indent=1) + "\n")
        home.data.mkdir()
        home.write()
        before(home)
        if path.exists():
            path.rmdir()
        path.parent.mkdir(parents=True, exist_ok=True)
        building.rename(path)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    final = replace(home, path=path)
    return Installation(final, {name: key_info(final.keys / f"{name}.json") for name in KEY_FILES})


def must_be_possible(
    council: Sequence[str], threshold: int, guardian: str | None, admission_delay: int
) -> None:
    """HomeError, or IdError for an address, unless the contract accepts this council: at most `COUNCIL_MAX` members, each
    once, who can give so many signatures, and a delay (seconds) of 32 bits."""
    for address in (*council, *([] if guardian is None else [guardian])):
        if not int(parse_address(address), 16):
            raise HomeError(f"nobody has the key of {address}", hint="give each member's address")
    if not 1 <= threshold <= len(council):
        raise HomeError(
            "a council of at least one address is needed, and a threshold within it",
            hint="give each member's address with --council; make a key with: civic keys new ./NAME.json --kind council",
        )
    if len(council) > COUNCIL_MAX or len({one.lower() for one in council}) < len(council):
        raise HomeError(
            f"a council has at most {COUNCIL_MAX} members, and each of them once",
            hint="give each member's address with --council",
        )
    if not 0 <= admission_delay < 1 << 32:
        raise HomeError(
            f"an admission cannot be delayed by {admission_delay} s",
            hint=f"the delay is from 0 to {(1 << 32) - 1} seconds",
        )


def must_be_paid(rpc_url: str, relayer_key: Path | None) -> None:
    """HomeError for an external chain without a key that pays; KeystoreError if its file is no such key."""
    if relayer_key is not None:
        key_info(relayer_key)
    elif rpc_url:
        raise HomeError(
            "an external chain needs the key file that pays for transactions", hint="give --relayer-key"
        )


def must_be_free_home(path: Path) -> None:
    """HomeExists if the path exists and is not an empty directory, or is the directory that the command runs in."""
    if path.resolve() == Path.cwd():
        raise HomeExists(
            f"the command runs in {path} itself", hint="name another --home; nothing was changed"
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise HomeExists(
            f"there is something at {path} already", hint="name another --home; nothing was changed"
        )


def log_key_of(home: Home) -> VerifierKey:
    """The public key of the installation's log, under the origin of its current epoch."""
    origin = origin_of(Deployment.from_json(home.deployment), home.epoch)
    return VerifierKey(str(origin), ED25519, bytes.fromhex(key_info(home.keys / "log.json").public))


def _make_keys(
    building: Path, passphrase: str, relayer_key: Path | None, relayer_passphrase: str | None, *, demo: bool
) -> dict[str, KeyInfo]:
    made = {}
    for name, kind in _KINDS.items():
        target = building / "keys" / f"{name}.json"
        if name == "relayer" and relayer_key is not None:
            open_secp256k1(relayer_key, relayer_passphrase or passphrase)
            shutil.copy(relayer_key, target)
            made[name] = key_info(target)
        else:
            made[name] = create_key(target, kind, passphrase, label=name, demo=demo)
    return made


def _deploy(
    building: Path,
    passphrase: str,
    keys: dict[str, KeyInfo],
    council: list[str],
    threshold: int,
    guardian: str,
    admission_delay: int,
    rpc_url: str,
    mode: Literal["demo", "production"],
) -> Home:
    secret = open_secp256k1(building / "keys" / "relayer.json", passphrase)

    def on(chain: ChainClient) -> Home:
        deployment = deploy(
            chain,
            secret,
            council=council,
            threshold=threshold,
            guardian=guardian,
            admission_delay=admission_delay,
            salt="0x" + secrets.token_hex(32),
        )
        return Home(building, mode, chain.chain_id, deployment.to_json(), without_secrets(rpc_url))

    if rpc_url:
        from ledger.chain.several import discover_nodes

        return on(discover_nodes(rpc_url))
    from ledger.chain.embedded import EmbeddedChain, random_chain_id

    with EmbeddedChain.create(building / "chain.sqlite", random_chain_id(), keys["relayer"].public) as chain:
        return on(chain)


class HomeExists(HomeError):
    """The path of the new home is not empty."""

    code = "home.exists"
