"""``civic init``: founds a city to which departments can be admitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.command import command, refuse_unused
from api.cli.enrolment import SERVICE
from api.cli.failures import UsageError
from api.cli.founding_plan import BUREAU
from api.cli.named_keys import address_given
from api.cli.options import Home, department_number
from api.cli.output import CommandResult, facts
from api.terminal.language import say
from languages.texts import translated

if TYPE_CHECKING:
    from api.cli.founding_plan import Bureau, Plan
    from api.runtime.settings import Settings

COUNCIL = "council"
"""The name of the council member's key in the bureau's profile, if the bureau alone is the council."""
OPENING = "open-log.json"
"""The file, in the bureau's profile, of the council's act that opens the log on the chain."""
OFFICERS = {"admin": ("admin",), "steward": ("steward",), "bureau": ("bureau",)}
"""The officers of the data bureau: ``bureau`` signs grants on core data together with the steward of the
provider."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "init", "Found a city: chain, contracts, keys, the council, the data bureau and its log.")(
        init
    )


def init(
    home: Home = Path("city"),
    plan: Annotated[
        Path | None,
        typer.Option(help=say("TOML file with what the options say (docs/city.md)."), show_default=False),
    ] = None,
    council: Annotated[
        list[str] | None,
        typer.Option(
            help=say("Council member: an address, or the member's key file (repeat)."), show_default=False
        ),
    ] = None,
    threshold: Annotated[
        int | None,
        typer.Option(
            min=1, help=say("Signatures the council needs (by default more than half)."), show_default=False
        ),
    ] = None,
    guardian: Annotated[
        str | None,
        typer.Option(help=say("Address that may pause (default: first member).")),
    ] = None,
    admission_delay: Annotated[
        int | None,
        typer.Option(
            min=0, help=say("Seconds between proposal and admission (by default a day)."), show_default=False
        ),
    ] = None,
    bureau: Annotated[
        Path | None,
        typer.Option(
            help=say("Directory for the profile and the keys of the data bureau, the first department."),
            show_default=False,
        ),
    ] = None,
    bureau_number: Annotated[
        int | None,
        typer.Option(
            parser=department_number,
            metavar="NUMBER",
            help=say("The data bureau's number (by default 1)."),
            show_default=False,
        ),
    ] = None,
    name_zh: Annotated[str, typer.Option(help=say("The data bureau's name in Chinese."))] = translated(
        BUREAU, "zh"
    ),
    name_en: Annotated[str, typer.Option(help=say("The data bureau's name in English."))] = BUREAU,
    bureau_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            help=say(
                "File with the passphrase of the bureau's keys (by default that of the service's keys)."
            ),
            show_default=False,
        ),
    ] = None,
    rpc_url: Annotated[
        str,
        typer.Option(
            help=say("Use this EVM node, or several, instead of the embedded chain (or CIVIC_RPC_URL).")
        ),
    ] = "",
    relayer_key: Annotated[
        Path | None,
        typer.Option(help=say("Key file that pays on an external chain.")),
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help=say("File with the passphrase of the keys."))
    ] = None,
) -> CommandResult:
    from api.cli.founding_plan import FIRST_DEPARTMENT, Bureau, Plan, asked_for, read_plan

    read = read_plan(plan) if plan else Plan()
    given = {
        "council": tuple(council or ()),
        "threshold": threshold,
        "guardian": guardian,
        "admission_delay": admission_delay,
        "rpc_url": rpc_url,
        "relayer_key": relayer_key,
    }
    chosen = replace(read, **{name: value for name, value in given.items() if value not in (None, "", ())})  # type: ignore[arg-type]
    if bureau is not None:
        chosen = replace(
            chosen,
            bureau=Bureau(
                bureau, name_zh, name_en, bureau_number or FIRST_DEPARTMENT, bureau_passphrase_file
            ),
        )
    else:
        refuse_unused(say("no --bureau"), "bureau_number", "name_zh", "name_en", "bureau_passphrase_file")
    if read.home is not None:
        refuse_unused(say("a plan that names the home"), "home")
    return _found(asked_for(chosen), read.home or home, passphrase_file)


def _found(plan: Plan, home: Path, passphrase_file: Path | None) -> CommandResult:
    from api.cli.enrolment import must_be_free
    from api.operator.installation import must_be_free_home, must_be_possible
    from api.runtime.settings import Settings

    settings = Settings.given(home=home, rpc_url=plan.rpc_url or None, passphrase_file=passphrase_file)
    must_be_free_home(home)
    if plan.bureau is not None:
        must_be_free(plan.bureau.directory)
    elif not plan.council:
        raise UsageError(
            say("nobody could admit a department to this city"),
            hint=say(
                "--bureau DIR creates the keys of the data bureau and of its council; --council ADDRESS names a member"
            ),
        )
    given = [address_given(one, "--council") for one in plan.council]
    size = len(given) or 1
    threshold = plan.threshold or size // 2 + 1
    must_be_possible(size, threshold)
    passphrase = _passphrase(settings)
    settings = settings.model_copy(update={"passphrase": passphrase, "passphrase_file": None})
    url = _address_of(settings)
    bureau = (
        None if plan.bureau is None else _FirstDepartment(plan.bureau, passphrase, alone=not plan.council)
    )
    members = given or [bureau.council if bureau else ""]
    trust_file, document = _installed(settings, plan, members, threshold)
    steps = [
        say("hand {trust} to departments and auditors by a second way than the service", trust=trust_file)
    ]
    serve = say("serve the city: civic serve --home {home}", home=home)
    if bureau is None:
        steps.append(serve)
    else:
        acts = bureau.write_profile_and_acts(url, trust_file, home, passphrase)
        document |= {"bureau": str(bureau.directory), "acts": [str(path) for path in acts]}
        if bureau.alone:
            document["states"] = bureau.hand_in(settings, acts)
            steps.append(serve)
        else:
            profile = bureau.directory
            steps += [
                say("council: civic sign {file} --key KEY --profile {profile}", file=path, profile=profile)
                for path in acts
            ]
            steps.append(serve)
            steps += [
                say("then: civic submit {file} --profile {profile}", file=path, profile=profile)
                for path in acts
            ]
    steps.append(
        say(
            "each department: civic department enroll NUMBER --url {url} --trust {trust} --name-zh ... --name-en ... --profile DIR",
            url=url,
            trust=trust_file,
        )
    )
    document["next"] = steps
    hidden = ("next", "states", "acts", "contracts")
    shown: list[tuple[str, object]] = [
        (name, value) for name, value in document.items() if name not in hidden
    ]
    if bureau is not None and bureau.alone:
        shown.append(
            (
                say("council"),
                say("one key, {file}; name several members with --council", file=bureau.council_file),
            )
        )
    shown += [(say("next {number}", number=number), step) for number, step in enumerate(steps, 1)]
    return facts(document, say("The city is founded."), shown)


def _installed(
    settings: Settings, plan: Plan, members: list[str], threshold: int
) -> tuple[Path, dict[str, Any]]:
    """Create the home; return its trust file and the facts for the operator."""
    from api.operator.installation import initialise

    made = initialise(
        settings,
        settings.passphrase,
        council=members,
        threshold=threshold,
        guardian=plan.guardian,
        admission_delay=plan.admission_delay,
        relayer_key=plan.relayer_key,
    )
    return made.home.trust_file, made.summary()


class _FirstDepartment:
    """The data bureau: its keys are created before the home, so that no key that the chain names can be
    lost."""

    def __init__(self, bureau: Bureau, passphrase: str, *, alone: bool) -> None:
        from api.cli.enrolment import Party, create_keys
        from api.cli.passphrases import Passphrases

        self.directory = bureau.directory
        self.alone = alone
        """Whether a key of the bureau is the whole council."""
        self._party = Party(
            bureau.number,
            bureau.name_zh,
            bureau.name_en,
            officers=OFFICERS,
            service_roles=("reader", "city-auditor"),
        )
        file = bureau.passphrase_file
        self._passphrase = Passphrases(file).new(self._keys) if file else passphrase
        self._created = create_keys(
            self._keys, self._party, self._passphrase, council=COUNCIL if alone else ""
        )

    @property
    def _keys(self) -> Path:
        return self.directory / "keys"

    @property
    def council_file(self) -> Path:
        """The council's key file, where it is created here."""
        return self._keys / f"{COUNCIL}.json"

    @property
    def council(self) -> str:
        """The address of the council's key, if it was created here."""
        return self._created[COUNCIL].public

    def write_profile_and_acts(self, url: str, trust_file: Path, home: Path, passphrase: str) -> list[Path]:
        """Write the profile and the city's first acts: the bureau's admission with the service's seat, signed
        by all its seats, and the opening of the log. Both are signed by the council if its key is here."""
        from api.cli.enrolment import ENROLMENT, draft_request, write_profile
        from api.cli.profile import Profile
        from api.protocol.keystore import key_info, open_secp256k1
        from api.protocol.trust import Trust
        from api.sdk.acts import sign_act, write_act
        from api.sdk.drafts import NewSeat, deadline_in, draft_log_opening
        from api.sdk.office_drafts import ADMISSION_TIME, FIRST_COUNCIL

        party, trust = self._party, Trust.read(trust_file)
        write_profile(
            Profile(self.directory, url, party.number, party.name_en, party.steward, SERVICE), trust_file
        )
        attest = home / "keys" / "attest.json"
        seat = NewSeat(key_info(attest).public, ("attest", "gateway"))
        admission = draft_request(replace(party, seats=(seat,)), self._created, FIRST_COUNCIL)
        opening = draft_log_opening(
            trust.log_key.name, party.number, epoch=FIRST_COUNCIL, deadline=deadline_in(ADMISSION_TIME)
        )
        officers = [open_secp256k1(self._keys / f"{name}.json", self._passphrase) for name in party.officers]
        council = [open_secp256k1(self.council_file, self._passphrase)] if self.alone else []
        signed = {
            ENROLMENT: sign_act(admission, trust, [*officers, open_secp256k1(attest, passphrase), *council]),
            OPENING: sign_act(opening, trust, council),
        }
        for name, act in signed.items():
            write_act(self.directory / name, act)
        return [self.directory / name for name in signed]

    def hand_in(self, settings: Settings, acts: list[Path]) -> list[dict[str, Any]]:
        """Submit the first acts; return the state of each."""
        from api.operator.founding import hand_in_first_acts
        from api.protocol.trust import Trust
        from api.sdk.acts import read_act

        trust = Trust.read(self.directory / "trust.json")
        drafts = [read_act(path) for path in acts]
        return hand_in_first_acts(settings, [(draft.to_json(), draft.signers(trust)) for draft in drafts])


def _passphrase(settings: Settings) -> str:
    """The passphrase of the service's keys: from its file, or asked for on a terminal."""
    from api.cli.passphrases import Passphrases

    return Passphrases(settings.passphrase_file).new(settings.home / "keys")


def _address_of(settings: Settings) -> str:
    """The address of the service."""
    from api.server import reached_at

    return settings.public_url or reached_at(settings.host, settings.port)
