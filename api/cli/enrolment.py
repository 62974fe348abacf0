"""A department that comes in: its keys are drawn, its profile is made, its admission is drafted and signed by its officers.

The department does this on its own machine (``civic department enroll``), and the data bureau that a city begins with while
the city is founded (``civic init --bureau``). What leaves the machine is one act file without a secret in it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from api.cli.failures import UsageError
from api.cli.json_input import listed
from api.cli.profile import Profile
from api.protocol.errors import ProfileError
from api.terminal.language import say

if TYPE_CHECKING:
    from api.protocol.keystore import KeyInfo
    from api.protocol.trust import Trust
    from api.sdk.acts import ActDraft
    from api.sdk.drafts import NewSeat

ENROLMENT = "enrolment.json"
"""The request of a department, in its profile directory: an act file of type Admission."""
OFFICERS: Mapping[str, tuple[str, ...]] = {"admin": ("admin",), "steward": ("steward",)}
"""Officers whose keys are drawn where none is named: one who governs the department's seats, and one who grants."""
RECOVERY, SERVICE = "recovery", "service"


@dataclass(frozen=True, slots=True)
class Party:
    """A department as it asks to come in. ``officers`` are names of keys that are drawn here, with their roles; ``seats`` are
    people and machines with keys of their own, who sign the request elsewhere; ``recovery`` is an address, or empty for a key
    that is drawn here."""

    number: int
    name_zh: str
    name_en: str
    kind: str = "department"
    officers: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict(OFFICERS))
    seats: Sequence[NewSeat] = ()
    service_roles: Sequence[str] = ("reader",)
    recovery: str = ""

    @property
    def steward(self) -> str:
        """The officer whom the profile names: the first who grants, else the first."""
        return next(
            (name for name, roles in self.officers.items() if "steward" in roles),
            next(iter(self.officers), ""),
        )


def must_be_free(directory: Path) -> None:
    """ProfileError where a profile or anything else stands."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ProfileError(
            say("there is something at {path} already", path=directory),
            hint=say("choose another directory; what was pinned is never replaced silently"),
        )


def officers_of(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """From ``NAME:ROLE,ROLE``; UsageError for what is not of this form, or names one key twice."""
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, _, roles = text.partition(":")
        if (
            not name
            or not roles
            or name in (*found, RECOVERY, SERVICE)
            or not name.replace("-", "").isalnum()
        ):
            raise UsageError(
                say("not an officer: {given!r}", given=text[:60]), hint="--officer NAME:ROLE,ROLE"
            )
        found[name] = tuple(listed([roles]))
    return found or dict(OFFICERS)


def draw_keys(folder: Path, party: Party, passphrase: str, council: str = "") -> dict[str, KeyInfo]:
    """Draw every key of the party into ``folder``, under one passphrase; ``council`` names one more, of a council member."""
    from api.protocol.keystore import create_key

    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    kinds = dict.fromkeys(party.officers, "officer") | {SERVICE: "service"}
    if not party.recovery:
        kinds[RECOVERY] = "recovery"
    if council:
        kinds[council] = "council"
    return {
        name: create_key(folder / f"{name}.json", kind, passphrase, label=f"{party.number} {name}")  # type: ignore[arg-type]
        for name, kind in kinds.items()
    }


def write_profile(profile: Profile, trust_file: Path) -> None:
    """The profile's files beside its keys; what was pinned comes last but one, so that half a profile is none."""
    for folder in (profile.keys, profile.path / "state", profile.receipts):
        folder.mkdir(parents=True, exist_ok=True)
    profile.keys.chmod(0o700)
    shutil.copyfile(trust_file, profile.trust_file)
    profile.write()


def draft_request(
    party: Party, keys: Mapping[str, KeyInfo], epoch: int, deadline: int | None = None
) -> ActDraft:
    """The Admission of the party, unsigned."""
    from api.sdk.drafts import NewSeat, NewServiceKey, department_profile, draft_admission

    return draft_admission(
        party.number,
        party.recovery or keys[RECOVERY].public,
        [*(NewSeat(keys[name].public, roles) for name, roles in party.officers.items()), *party.seats],
        [NewServiceKey(keys[SERVICE].public, party.service_roles)],
        profile=department_profile(party.name_zh, party.name_en, party.kind),
        epoch=epoch,
        deadline=deadline,
    )


def signed_by_officers(
    draft: ActDraft, trust: Trust, folder: Path, party: Party, passphrase: str, more: Sequence[bytes] = ()
) -> ActDraft:
    """The request with the signature of every officer whose key is in ``folder``, and of further secrets (32 bytes each)."""
    from api.protocol.keystore import open_secp256k1
    from api.sdk.acts import sign_act

    secrets = (open_secp256k1(folder / f"{name}.json", passphrase) for name in party.officers)
    return sign_act(draft, trust, [*secrets, *more])
