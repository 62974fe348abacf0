"""``civic department enroll`` and ``admit``: a department writes its admission request, and the council
admits it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.failures import UsageError
from api.cli.json_input import listed
from api.cli.named_keys import address_given
from api.cli.options import Epoch, Keys, PassphraseFile, ProfileOption, Yes, department_number
from api.cli.output import CommandResult, facts, note
from api.terminal.language import say

Number = Annotated[
    int,
    typer.Argument(metavar="NUMBER", parser=department_number, help=say("The department's number.")),
]
Officers = Annotated[
    list[str] | None,
    typer.Option(
        "--officer",
        help=say(
            "Officer whose key is created here, as NAME:ROLE,ROLE (repeat; by default admin:admin and steward:steward)."
        ),
        show_default=False,
    ),
]
Seats = Annotated[
    list[str] | None,
    typer.Option(
        "--seat",
        help=say(
            "Officer or attest key that exists already, as ADDRESS:ROLE,ROLE (repeat): its holder signs the file with civic sign."
        ),
        show_default=False,
    ),
]
WaitLong = Annotated[
    float,
    typer.Option(
        "--wait",
        min=0,
        max=7 * 86_400,
        help=say("Seconds to wait until the department is admitted: the council's delay comes before."),
    ),
]

MOST_WAIT_S = 50.0
"""So long the service is asked to wait at once."""
PAUSE_S = 5.0
"""Between two questions: the service answers at once when the admission is not ready within the wait."""


def register_enrolling(group: typer.Typer) -> None:
    """Add the commands to ``civic department``."""
    command(
        group,
        "enroll",
        "Create a department's keys, make its profile, and write the request that the council admits it by.",
    )(enroll)
    command(
        group,
        "admit",
        "Sign a department's request for the council; with enough signatures it is handed in.",
    )(admit)


def enroll(
    number: Number,
    url: Annotated[str, typer.Option(help=say("Address of the service."))],
    trust: Annotated[Path, typer.Option(help=say("Trust file of the installation."))],
    name_zh: Annotated[str, typer.Option(help=say("Name in Chinese."))],
    name_en: Annotated[str, typer.Option(help=say("Name in English."))],
    officer: Officers = None,
    seat: Seats = None,
    service_roles: Annotated[
        list[str] | None,
        typer.Option(help=say("Roles of the service key, separated by commas (by default reader).")),
    ] = None,
    recovery: Annotated[
        str,
        typer.Option(help=say("Address of a recovery key that exists already; by default one is created.")),
    ] = "",
    kind: Annotated[str, typer.Option(help=say("Kind of party."))] = "department",
    epoch: Epoch = None,
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.enrolment import (
        ENROLMENT,
        RECOVERY,
        Party,
        create_keys,
        draft_request,
        made_whole,
        must_be_free,
        must_be_named,
        officers_of,
        signed_by_officers,
        write_profile,
    )
    from api.cli.passphrases import Passphrases
    from api.cli.profile import Profile, profile_directory
    from api.cli.signing import in_words
    from api.protocol.trust import Trust
    from api.sdk.acts import write_act
    from api.terminal.screen import lines

    path = profile_directory(profile)
    must_be_free(path)
    must_be_named(name_zh, name_en)
    party = Party(
        number,
        name_zh,
        name_en,
        kind,
        officers_of(officer or ()),
        [_seat(text) for text in seat or ()],
        listed(service_roles) or ("reader",),
        address_given(recovery, "--recovery") if recovery else "",
    )
    pinned = Trust.read(trust)
    with made_whole(path) as building:
        made = Profile(building, url, number, name_en, party.steward, "service")
        made.keys.mkdir(parents=True, mode=0o700)
        write_profile(made, trust)
        with made.public() as civic:
            council = civic.council_epoch() if epoch is None else epoch
        passphrase = Passphrases(passphrase_file).new(path / "keys")
        keys = create_keys(made.keys, party, passphrase)
        draft = draft_request(party, keys, council)
        lines(*in_words(draft), error=True)
        signed = signed_by_officers(draft, pinned, made.keys, party, passphrase)
        write_act(building / ENROLMENT, signed)
    request = path / ENROLMENT
    document = {
        "profile": str(path),
        "request": str(request),
        "department": number,
        "keys": {name: info.public for name, info in keys.items()},
        "digest": "0x" + signed.digest(pinned).hex(),
        "to_sign": [one.address for one in party.seats],
    }
    pairs: list[tuple[str, object]] = [
        (say("profile"), path),
        (say("request"), request),
        *((say("key"), f"{name}  {info.public}") for name, info in keys.items()),
        *((say("has to sign"), one.address) for one in party.seats),
    ]
    if RECOVERY in keys:
        file = keys[RECOVERY].path.name
        pairs.append(
            (
                say("keep apart"),
                say(
                    "{file}, on another machine: it replaces an officer's lost key", file=path / "keys" / file
                ),
            )
        )
    pairs.append(
        (say("next"), say("by the council: civic department admit {request} --key KEY", request=request))
    )
    return facts(
        document, say("The department's keys are created, and its request is signed by its officers."), pairs
    )


def admit(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help=say("The department's request, as civic department enroll writes it.")
        ),
    ],
    key: Keys = None,
    passphrase_file: PassphraseFile = None,
    wait: WaitLong = 20.0,
    yes: Yes = False,
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.governing import hand_in, recorded, sign_with
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile
    from api.sdk.acts import ActFileError, read_act, write_act

    found = read_profile(profile)
    draft = read_act(file)
    if draft.type != "Admission":
        raise ActFileError(
            say("{file} is no request of a department", file=file),
            hint=say("other acts are signed by civic sign and handed in by civic submit"),
        )
    if not key:
        raise UsageError(
            say("no key is named that signs"),
            hint=say("--key KEY, once for each council member who signs here"),
        )
    signed = sign_with(
        found,
        draft,
        [found.key_path(name) for name in key],
        Passphrases(passphrase_file),
        yes=yes,
        signed_by="some",
    )
    write_act(file, signed, replacing=draft)
    missing = _missing(found, signed)
    if missing:
        document = {"file": str(file), "signers": signed.signers(found.trust()), "missing": missing}
        shown: list[tuple[str, object]] = [
            *((say("signed by"), one) for one in document["signers"]),
            (say("missing"), missing),
            (say("next"), say("by another member: civic department admit {file} --key KEY", file=file)),
        ]
        return facts(document, say("Signed; nothing was handed in yet."), shown)
    until = time.monotonic() + wait
    answer = hand_in(found, signed, min(wait, MOST_WAIT_S))
    if (ready := answer.get("ready_at")) and answer["state"] != "recorded":
        note(say("proposed; the service admits the department at {ready}", ready=ready))
    while answer["state"] != "recorded" and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, PAUSE_S))
        answer = hand_in(found, signed, min(left, MOST_WAIT_S))  # the same message once more is the same act
    return recorded(answer)


def _missing(profile: Any, draft: Any) -> str:
    """What the request still lacks, in words; empty if it can be submitted."""
    from api.sdk.published import Register, officers_refused

    with profile.public() as civic:
        refused = officers_refused(
            Register(civic), draft, draft.signers(profile.trust()), others_follow=False
        )
    return "" if refused is None else refused.detail


def _seat(text: str) -> Any:
    """A seat from ``ADDRESS:ROLE,ROLE``; a path of a key file may replace the address."""
    from api.sdk.drafts import NewSeat

    who, _, roles = text.rpartition(":")
    if not who or not roles:
        raise UsageError(say("not a seat: {given!r}", given=text[:60]), hint="--seat ADDRESS:ROLE,ROLE")
    return NewSeat(address_given(who, "--seat"), listed([roles]))
