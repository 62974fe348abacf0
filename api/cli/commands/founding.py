"""``civic init``: founds a city to which departments can be admitted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.command import command, is_given, refuse_unused
from api.cli.enrolment import ENROLMENT, SERVICE
from api.cli.failures import UsageError
from api.cli.founding_plan import BUREAU
from api.cli.named_keys import address_given
from api.cli.options import Home, department_number
from api.cli.output import CommandResult, facts
from api.terminal.language import say
from languages.texts import translated

if TYPE_CHECKING:
    from api.cli.founding_plan import Bureau, Plan
    from api.runtime.settings import Home as MadeHome
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
    given: dict[str, Any] = {
        "council": tuple(council or ()),
        "threshold": threshold,
        "guardian": guardian,
        "admission_delay": admission_delay,
        "rpc_url": rpc_url or None,
        "relayer_key": relayer_key,
    }
    chosen = replace(
        read, **{name: value for name, value in given.items() if value is not None and value != ()}
    )
    about = Bureau(
        bureau or Path(), name_zh, name_en, bureau_number or FIRST_DEPARTMENT, bureau_passphrase_file
    )
    if read.bureau is not None:
        chosen = replace(chosen, bureau=_given_over(read.bureau, about))
    elif bureau is not None:
        chosen = replace(chosen, bureau=about)
    else:
        refuse_unused(say("no --bureau"), "bureau_number", "name_zh", "name_en", "bureau_passphrase_file")
    if read.home is not None:
        refuse_unused(say("a plan that names the home"), "home")
    return _found(asked_for(chosen), read.home or home, passphrase_file)


_BUREAU_OPTIONS = {
    "bureau": "directory",
    "bureau_number": "number",
    "name_zh": "name_zh",
    "name_en": "name_en",
    "bureau_passphrase_file": "passphrase_file",
}
"""The options of the bureau, and the member of the plan that each replaces."""


def _given_over(planned: Bureau, options: Bureau) -> Bureau:
    """The bureau of a plan, with the members that options give."""
    given = {member: getattr(options, member) for name, member in _BUREAU_OPTIONS.items() if is_given(name)}
    return replace(planned, **given)


def _found(plan: Plan, home: Path, passphrase_file: Path | None) -> CommandResult:
    from api.cli.enrolment import must_be_named
    from api.operator.installation import must_be_paid, must_be_possible
    from api.runtime.settings import Settings

    settings = Settings.given(home=home, rpc_url=plan.rpc_url or None, passphrase_file=passphrase_file)
    _must_be_new(home, plan.bureau)
    if plan.bureau is None and not plan.council:
        raise UsageError(
            say("nobody could admit a department to this city"),
            hint=say(
                "--bureau DIR creates the keys of the data bureau and of its council; --council ADDRESS names a member"
            ),
        )
    if plan.bureau is not None:
        must_be_named(plan.bureau.name_zh, plan.bureau.name_en)
    given = [address_given(one, "--council") for one in plan.council]
    threshold = plan.threshold or (len(given) or 1) // 2 + 1
    must_be_possible(given or [_NOT_YET_CREATED], threshold, plan.guardian, plan.admission_delay)
    must_be_paid(settings.rpc_url, plan.relayer_key)
    passphrase = _passphrase(settings)
    settings = settings.model_copy(update={"passphrase": passphrase, "passphrase_file": None})
    url = _address_of(settings)
    bureau = None
    if plan.bureau is not None:
        bureau = _FirstDepartment(plan.bureau, passphrase, plan.admission_delay, alone=not plan.council)
    members = given or [bureau.council if bureau else ""]
    trust_file, document = _installed(settings, plan, members, threshold, bureau, url)
    steps = [
        say("hand {trust} to departments and auditors by a second way than the service", trust=trust_file)
    ]
    serve = say("serve the city: civic serve --home {home}", home=home)
    if bureau is None:
        steps.append(serve)
    else:
        acts = bureau.acts
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


_NOT_YET_CREATED = "0x" + "11" * 20
"""Stands for the council's only member before its key exists."""


def _must_be_new(home: Path, bureau: Bureau | None) -> None:
    """HomeError or ProfileError if something exists at one of the places; after an interrupted founding the hint says
    how it continues."""
    from api.cli.enrolment import must_be_free
    from api.cli.profile import FILE as PROFILE
    from api.operator.installation import HomeExists, must_be_free_home
    from api.protocol.errors import ProfileError

    if bureau is None:
        must_be_free_home(home)
        return
    place, keys = bureau.directory, bureau.directory / "keys"
    if home.resolve() in (place.resolve(), *place.resolve().parents):
        raise UsageError(say("the bureau's directory is not in the city's: {path}", path=place))
    if (home / "civic.json").exists() and (place / OPENING).exists():
        raise HomeExists(
            say("the city at {path} is founded already", path=home),
            hint=say(
                "civic serve --home {home}; if the bureau is not admitted: civic submit {file} --profile {profile}",
                home=home,
                file=place / ENROLMENT,
                profile=place,
            ),
        )
    must_be_free_home(home)
    if keys.is_dir() and not (place / PROFILE).exists():
        raise ProfileError(
            say("a founding that created the keys in {path} did not make its city", path=keys),
            hint=say(
                "move {path} away, and keep it if contracts on an external chain name its keys; then repeat the command",
                path=place,
            ),
        )
    must_be_free(place)


def _installed(
    settings: Settings,
    plan: Plan,
    members: list[str],
    threshold: int,
    bureau: _FirstDepartment | None,
    url: str,
) -> tuple[Path, dict[str, Any]]:
    """Make the home, and before it is at its place the bureau's profile and acts: its trust file, and what the operator is
    shown. On failure the bureau's keys are deleted, unless contracts on an external chain may name them."""
    from api.operator.installation import initialise

    def settle(home: MadeHome) -> None:
        if bureau is not None:
            bureau.write_profile_and_acts(
                url, home.trust_file, home.keys / "attest.json", settings.passphrase
            )

    try:
        made = initialise(
            settings,
            settings.passphrase,
            council=members,
            threshold=threshold,
            guardian=plan.guardian,
            admission_delay=plan.admission_delay,
            relayer_key=plan.relayer_key,
            before=settle,
        )
    except BaseException:
        if bureau is not None and not settings.rpc_url:
            shutil.rmtree(bureau.directory)
        raise
    return made.home.trust_file, made.summary()


class _FirstDepartment:
    """The data bureau: its keys are created before the home, so that no key that the chain names can be
    lost."""

    def __init__(self, bureau: Bureau, passphrase: str, admission_delay: int, *, alone: bool) -> None:
        from api.cli.enrolment import Party, create_keys, made_whole
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
        self._delay = admission_delay
        with made_whole(self.directory) as building:
            self._created = create_keys(
                building / "keys", self._party, self._passphrase, council=COUNCIL if alone else ""
            )

    @property
    def acts(self) -> list[Path]:
        """The files of the city's first acts."""
        return [self.directory / ENROLMENT, self.directory / OPENING]

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

    def write_profile_and_acts(self, url: str, trust_file: Path, attest: Path, passphrase: str) -> None:
        """Write the profile and the city's first acts: the bureau's admission with the service's seat, signed by all who hold
        one, and the opening of the log; the council's signature is on both where its key is here.

        ``attest`` is the service's key file, which ``passphrase`` opens.
        """
        from api.cli.enrolment import draft_request, write_profile
        from api.cli.profile import Profile
        from api.protocol.keystore import key_info, open_secp256k1
        from api.protocol.trust import Trust
        from api.sdk.acts import sign_act, write_act
        from api.sdk.drafts import NewSeat, deadline_in, draft_log_opening
        from api.sdk.office_drafts import ADMISSION_TIME, FIRST_COUNCIL

        party, trust = self._party, Trust.read(trust_file)
        until = deadline_in(self._delay + ADMISSION_TIME)
        seat = NewSeat(key_info(attest).public, ("attest", "gateway"))
        admission = draft_request(replace(party, seats=(seat,)), self._created, FIRST_COUNCIL, until)
        opening = draft_log_opening(trust.log_key.name, party.number, epoch=FIRST_COUNCIL, deadline=until)
        officers = [open_secp256k1(self._keys / f"{name}.json", self._passphrase) for name in party.officers]
        council = [open_secp256k1(self.council_file, self._passphrase)] if self.alone else []
        signed = {
            ENROLMENT: sign_act(admission, trust, [*officers, open_secp256k1(attest, passphrase), *council]),
            OPENING: sign_act(opening, trust, council),
        }
        write_profile(
            Profile(self.directory, url, party.number, party.name_en, party.steward, SERVICE), trust_file
        )
        for name, act in signed.items():
            write_act(self.directory / name, act)

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
