"""``civic request`` and ``civic requests``: a department asks, the provider answers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.json_input import listed
from api.cli.options import Asset, Limit, PassphraseFile, ProfileOption, ServiceKeyOption
from api.cli.output import CommandResult, facts, table
from api.cli.standings import value_words
from api.terminal.language import say

REFUSAL_REASONS = (
    "not-necessary",
    "no-legal-basis",
    "scope-too-wide",
    "security",
    "quality",
    "not-held",
    "prohibited",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(
        app,
        "request",
        "Ask a provider for access to a dataset; granting is the provider's signature (civic grant).",
    )(request)
    group = typer.Typer(help=say("Requests made, and requests to answer."), no_args_is_help=True)
    app.add_typer(group, name="requests")
    command(group, "list", "Requests this department made, or has to answer.")(list_)
    command(group, "show", "One request.")(show)
    command(group, "refuse", "Refuse a request, with a reason and an explanation.")(refuse)
    command(group, "withdraw", "Take a request back.")(withdraw)


Id = Annotated[str, typer.Argument(metavar="REQUEST", help=say("Id of the request."))]


def request(
    asset: Asset,
    purpose: Annotated[str, typer.Option(help=say("Purpose, such as dpv:PublicBenefit."))],
    legal_basis: Annotated[str, typer.Option(help=say("Legal basis, in words."))],
    until: Annotated[str, typer.Option(help=say("Needed until: an instant or a duration."))],
    starts: Annotated[str, typer.Option("--from", help=say("Needed from."))] = "PT0S",
    columns: Annotated[
        list[str] | None,
        typer.Option(
            help=say("Columns, separated by commas; all by default."),
            show_default=False,
        ),
    ] = None,
    note: Annotated[str, typer.Option(help=say("A note to the provider."), show_default=False)] = "",
    request_id: Annotated[
        str,
        typer.Option(
            "--id",
            help=say("Id chosen by you: the same id twice is one request."),
            show_default=False,
        ),
    ] = "",
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    from access_policy.errors import PolicyError
    from access_policy.terms.vocabulary import purposes
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile
    from api.cli.times import instant

    if purpose not in purposes():
        raise PolicyError(f"there is no purpose {purpose[:60]!r}", matches=purposes().close_to(purpose))
    body: dict[str, Any] = {
        "asset": asset,
        "columns": listed(columns),
        "purpose": purpose,
        "legal_basis": legal_basis,
        "starts": instant(starts).isoformat(),
        "ends": instant(until).isoformat(),
        "note": note,
    }
    if request_id:
        body["id"] = request_id
    found = read_profile(profile)
    with found.connect(Passphrases(passphrase_file), service_key) as civic:
        answer = civic.request_access(body)
    return _answered(found, answer, say("The request is on record."))


def list_(
    side: Annotated[
        str,
        typer.Option(help=say("requester (made by us) or provider (to answer).")),
    ] = "requester",
    state: Annotated[
        str,
        typer.Option(help="submitted | granted | refused | withdrawn", show_default=False),
    ] = "",
    limit: Limit = 200,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    from itertools import islice

    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    filters = {"side": side} | ({"state": state} if state else {})
    with read_profile(profile).connect(Passphrases(passphrase_file), service_key) as civic:
        found = list(islice(civic.requests(**filters), limit))
    columns = ("id", "state", "asset", "requester", "purpose", "ends")
    return table(
        {"requests": found},
        say("Requests"),
        [
            say("id"),
            say("state"),
            say("dataset"),
            say("by"),
            say("purpose"),
            say("until"),
        ],
        [[value_words(column, one.get(column)) for column in columns] for one in found],
    )


def show(
    request_id: Id,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    with read_profile(profile).connect(Passphrases(passphrase_file), service_key) as civic:
        found = find_request(civic, request_id)
    return facts(found, say("Request"), [(name, value_words(name, value)) for name, value in found.items()])


def refuse(
    request_id: Id,
    reason: Annotated[str, typer.Option(help=" | ".join(REFUSAL_REASONS))],
    explanation: Annotated[str, typer.Option(help=say("Why, in words."))],
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    answer = {"state": "refused", "reason": reason, "explanation": explanation}
    return _answer(request_id, answer, service_key, passphrase_file, profile)


def withdraw(
    request_id: Id,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    return _answer(request_id, {"state": "withdrawn"}, service_key, passphrase_file, profile)


def find_request(civic: Any, request_id: str) -> dict[str, Any]:
    """A request of either side, by its id."""
    from api.cli.failures import CommandError
    from ledger.ids import parse_uuid

    parse_uuid(request_id)
    for side in ("provider", "requester"):
        for one in civic.requests(side=side):
            if one["id"] == request_id:
                return dict(one)
    raise CommandError(
        say("there is no request {request_id} of this department", request_id=request_id[:60]),
        hint="civic requests list --side provider",
        code="not-found.request",
    )


def _answer(
    request_id: str, answer: dict[str, str], service_key: str, passphrase_file: Any, profile: Any
) -> CommandResult:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    found = read_profile(profile)
    with found.connect(Passphrases(passphrase_file), service_key) as civic:
        given = civic.answer_request(request_id, answer)
    return _answered(found, given, say("The answer is on record."))


def _answered(found: Any, answer: dict[str, Any], title: str) -> CommandResult:
    answer["receipt"] = str(found.keep(answer["receipt"], answer.pop("call", None)))
    return facts(
        answer, title, [(name, value_words(name, value)) for name, value in answer.items() if name != "entry"]
    )
