"""The enrolment of a department: its keys and profile are created, and its admission is drafted and signed by
its officers.

A department does this on its own machine (``civic department enroll``); the data bureau, the first
department, does it while the city is founded (``civic init --bureau``). Only one act file without secrets
leaves the machine.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
"""The officers whose keys are created by default: one governs the department's seats, and one grants."""
RECOVERY, SERVICE = "recovery", "service"


@dataclass(frozen=True, slots=True)
class Party:
    """A department in its admission request. ``officers`` are the names of keys that are created here, with
    their roles; ``seats`` are people and machines that have keys already and sign the request elsewhere;
    ``recovery`` is an address, or empty for a key that is created here."""

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
        """The officer in the profile: the first one with the role steward, otherwise the first one."""
        return next(
            (name for name, roles in self.officers.items() if "steward" in roles),
            next(iter(self.officers), ""),
        )


def must_be_free(directory: Path) -> None:
    """ProfileError if the path exists and is not an empty directory, or is the directory that the command runs in."""
    if directory.resolve() == Path.cwd():
        raise ProfileError(
            say("the command runs in {path} itself", path=directory), hint=say("choose another directory")
        )
    if directory.is_symlink() and not directory.exists():
        raise ProfileError(
            say("{path} is a link to nothing", path=directory), hint=say("choose another directory")
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ProfileError(
            say("there is something at {path} already", path=directory),
            hint=say("choose another directory; what was pinned is never replaced silently"),
        )


@contextmanager
def made_whole(directory: Path) -> Iterator[Path]:
    """A directory beside ``directory``, which is moved there at the end, complete, and deleted on an error. An empty one is
    replaced; OSError if anything is in it by then."""
    place = directory.resolve()
    building = place.with_name(f".{place.name}.{secrets.token_hex(4)}.new")
    building.mkdir(parents=True, mode=0o700)
    try:
        yield building
        building.rename(place)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def must_be_named(name_zh: str, name_en: str) -> None:
    """UsageError unless the party has a name in each language."""
    for option, name in (("--name-zh", name_zh), ("--name-en", name_en)):
        if not name.strip():
            raise UsageError(say("{option}: the name is empty", option=option))


def officers_of(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Officers from texts ``NAME:ROLE,ROLE``; UsageError for another form or a repeated name."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
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


def create_keys(folder: Path, party: Party, passphrase: str, council: str = "") -> dict[str, KeyInfo]:
    """Create every key of the party in ``folder``, under one passphrase; ``council`` is the name of an
    additional key, of a council member."""
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
    """Write the profile's files next to its keys; the profile file comes last, so that a partial profile is
    not valid."""
    for folder in (profile.keys, profile.path / "state", profile.receipts):
        folder.mkdir(parents=True, exist_ok=True)
    profile.keys.chmod(0o700)
    shutil.copyfile(trust_file, profile.trust_file)
    profile.write()


def draft_request(
    party: Party, keys: Mapping[str, KeyInfo], epoch: int, deadline: int | None = None
) -> ActDraft:
    """The unsigned Admission of the party."""
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
    """The request with the signatures of every officer of the party, whose keys are in ``folder``, and of
    further secrets (32 bytes each)."""
    from api.protocol.keystore import open_secp256k1
    from api.sdk.acts import sign_act

    secrets = (open_secp256k1(folder / f"{name}.json", passphrase) for name in party.officers)
    return sign_act(draft, trust, [*secrets, *more])
