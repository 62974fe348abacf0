"""A person at a terminal: profiles with demo keys, and the command run as ``main`` runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.cli.main import main
from api.cli.profile import Profile
from api.protocol.keystore import KeyInfo, Kind, create_key
from api.protocol.trust import Trust
from ledger.audit.formats.checkpoint import Origin
from ledger.audit.formats.note import Signer

CHAIN = 4_242_424_242
ANCHOR = "0x" + "a1" * 20
PASSPHRASE = "a demo's passphrase is public"


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        [line] = self.out.splitlines()
        found = json.loads(line)
        assert isinstance(found, dict)
        return found

    @property
    def error(self) -> dict[str, Any]:
        found = self.document["error"]
        assert isinstance(found, dict)
        return found


Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _a_bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROFILE", "PASSPHRASE", "PASSPHRASE_FILE", "DEBUG", "HOME"):
        monkeypatch.delenv(f"CIVIC_{name}", raising=False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``civic`` with these arguments."""

    def civic(*arguments: str | Path | int) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err)

    return civic


@pytest.fixture(scope="session")
def log_signer() -> Signer:
    return Signer.generate(str(Origin(CHAIN, ANCHOR)))


@pytest.fixture
def trust_file(tmp_path: Path, log_signer: Signer) -> Path:
    """The trust file of an installation, as its operator hands it over."""
    path = tmp_path / "handed-over.json"
    document = {
        "version": 1,
        "origin": str(Origin(CHAIN, ANCHOR)),
        "log_key": str(log_signer.key),
        "gateway_key": Signer.generate("gateway").key.public.hex(),
        "chain_id": CHAIN,
        "salt": "0x" + "5a" * 32,
        "contracts": {
            "SharingLedger": "0x" + "c0" * 20,
            "AuditAnchor": ANCHOR,
            "CostPools": "0x" + "c2" * 20,
            "Conditions": "0x" + "c3" * 20,
        },
        "witnesses": [],
        "quorum": 0,
    }
    path.write_text(json.dumps(document))
    return path


def demo_key(profile: Profile, name: str, kind: Kind) -> KeyInfo:
    (profile.keys).mkdir(parents=True, exist_ok=True)
    (profile.keys / "demo-passphrase").write_text(PASSPHRASE + "\n")
    return create_key(profile.keys / f"{name}.json", kind, PASSPHRASE, demo=True, label=name)


def make_profile(path: Path, trust_file: Path, department: int = 7) -> Profile:
    profile = Profile(path, "http://127.0.0.1:9", department, "Wang", "wang", "machine")
    profile.write()
    profile.trust_file.write_text(trust_file.read_text())
    demo_key(profile, "wang", "officer")
    demo_key(profile, "machine", "service")
    return profile


@pytest.fixture
def profile(tmp_path: Path, trust_file: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Wang's profile: department 7, an officer's and a service key, chosen by CIVIC_PROFILE."""
    made = make_profile(tmp_path / "wang", trust_file)
    monkeypatch.setenv("CIVIC_PROFILE", str(made.path))
    return made


@pytest.fixture
def trust(profile: Profile) -> Trust:
    return profile.trust()
