"""The people and machines of the demo's city, their seats and their keys.

Every demo creates new keys, encrypted under a passphrase in a file beside them, and marked as a demo's. Each
department gets a profile directory, so that the ``civic`` command can be used after the demo.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from api.protocol.keystore import KeyInfo, Kind, create_key, key_info, open_ed25519, open_secp256k1
from api.protocol.trust import Trust
from api.sdk.client import Civic
from api.sdk.transport import ServiceKey
from api.terminal.language import language
from languages.texts import Bilingual, bilingual, in_language

PASSPHRASE = "open-demo"  # noqa: S105 - a demo's passphrase is public, and its keys are refused in production


@dataclass(frozen=True, slots=True)
class Part:
    """A department of the demo: its number, short name, names, and the roles of its officers and its machine."""

    number: int
    slug: str
    name_zh: str
    name_en: str
    officers: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"admin": ("admin",), "steward": ("steward",), "cdo": ("cdo",)}
    )
    service_roles: Sequence[str] = ("reader",)

    @property
    def name(self) -> Bilingual:
        """Its name in both languages."""
        return bilingual(self.name_en, self.name_zh)


BUREAU = Part(
    1,
    "data-bureau",
    "市数据局",
    "Data Bureau",
    {"admin": ("admin",), "steward": ("steward",), "bureau": ("bureau",)},
)
PLANNING = Part(2, "planning", "市自然资源和规划局", "Planning")
HEALTH = Part(3, "health", "市卫生健康委员会", "Health")
EDUCATION = Part(4, "education", "市教育局", "Education")
ELDER_CARE = Part(5, "elder-care", "市人力资源和社会保障局", "Social Security")
ENVIRONMENT = Part(6, "environment", "市生态环境局", "Environment")
PUBLIC_SECURITY = Part(7, "public-security", "市公安局", "Public Security")
AUDIT = Part(
    8,
    "audit-office",
    "市审计局",
    "Audit Office",
    {"admin": ("admin",), "oversight": ("oversight",)},
    ("city-auditor",),
)
CITY = (BUREAU, PLANNING, HEALTH, EDUCATION, ELDER_CARE, ENVIRONMENT, PUBLIC_SECURITY, AUDIT)


@dataclass(slots=True)
class Actor:
    """A department's profile, keys and connection in the demo."""

    part: Part
    directory: Path
    secrets: dict[str, bytes]
    keys: dict[str, KeyInfo]
    service: ServiceKey
    client: Civic | None = None

    @property
    def civic(self) -> Civic:
        """The department's own connection."""
        assert self.client is not None
        return self.client

    def connect(self, url: str, trust: Trust) -> None:
        """Write the profile and open the connection."""
        self.point_to(url)
        (self.directory / "trust.json").write_text(json.dumps(trust.document, indent=1) + "\n")
        self.client = Civic(url, trust, self.directory / "state", self.service)

    def point_to(self, url: str) -> None:
        """Write the service's address into the profile; the pinned trust file is unchanged."""
        profile = {
            "url": url,
            "department": self.part.number,
            "name": in_language(self.part.name, language()),
            "officer": "steward.json" if "steward" in self.keys else "oversight.json",
            "service": "service.json",
        }
        (self.directory / "profile.json").write_text(json.dumps(profile, ensure_ascii=False, indent=1) + "\n")


def create_department_keys(part: Part, root: Path) -> Actor:
    """Create the keys of a department in its profile directory."""
    directory = root / part.slug
    for name in (*part.officers, "recovery"):
        _key(directory, name, "officer")
    _key(directory, "service", "service")
    (directory / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
    return load_department(part, root)


def load_department(part: Part, root: Path) -> Actor:
    """Load a department whose keys exist already."""
    directory = root / part.slug
    keys = {
        name: key_info(directory / "keys" / f"{name}.json")
        for name in (*part.officers, "recovery", "service")
    }
    secrets = {
        name: open_secp256k1(info.path, PASSPHRASE) for name, info in keys.items() if name != "service"
    }
    private = open_ed25519(keys["service"].path, PASSPHRASE)
    return Actor(part, directory, secrets, keys, ServiceKey(part.number, private))


def create_council_keys(root: Path, size: int = 3) -> tuple[list[str], list[bytes]]:
    """Create the council's keys; addresses and secrets in the same order."""
    infos = [_key(root / "council", f"member-{number}", "council") for number in range(1, size + 1)]
    return [info.public for info in infos], [open_secp256k1(info.path, PASSPHRASE) for info in infos]


def _key(directory: Path, name: str, kind: Kind) -> KeyInfo:
    return create_key(directory / "keys" / f"{name}.json", kind, PASSPHRASE, label=name, demo=True)
