"""``civic request`` and ``civic requests``: a department asks, the provider answers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.json_input import listed
from api.cli.language import say
from api.cli.options import Asset, Limit, PassphraseFile, ProfileOption, ServiceKeyOption
from api.cli.output import Said, facts, table

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
        "向提供部门申请使用数据集；授权由提供部门签名作出（civic grant）。",
    )(request)
    group = typer.Typer(
        help=say("Requests made, and requests to answer.", "已提出与待答复的申请。"), no_args_is_help=True
    )
    app.add_typer(group, name="requests")
    command(group, "list", "Requests this department made, or has to answer.", "本部门提出或待答复的申请。")(
        list_
    )
    command(group, "show", "One request.", "显示一项申请。")(show)
    command(group, "refuse", "Refuse a request, with a reason and an explanation.", "拒绝申请，并说明原因。")(
        refuse
    )
    command(group, "withdraw", "Take a request back.", "撤回申请。")(withdraw)


Id = Annotated[str, typer.Argument(metavar="REQUEST", help=say("Id of the request.", "申请编号。"))]


def request(
    asset: Asset,
    purpose: Annotated[
        str, typer.Option(help=say("Purpose, such as dpv:PublicBenefit.", "用途，例如 dpv:PublicBenefit。"))
    ],
    legal_basis: Annotated[str, typer.Option(help=say("Legal basis, in words.", "法律依据说明。"))],
    until: Annotated[
        str, typer.Option(help=say("Needed until: an instant or a duration.", "使用期限：时刻或时长。"))
    ],
    starts: Annotated[str, typer.Option("--from", help=say("Needed from.", "起始时间。"))] = "PT0S",
    columns: Annotated[
        list[str] | None,
        typer.Option(
            help=say("Columns, separated by commas; all by default.", "字段，以逗号分隔；默认全部。"),
            show_default=False,
        ),
    ] = None,
    note: Annotated[
        str, typer.Option(help=say("A note to the provider.", "附言。"), show_default=False)
    ] = "",
    request_id: Annotated[
        str,
        typer.Option(
            "--id",
            help=say("Id chosen by you: the same id twice is one request.", "自选编号：同号两次即一项申请。"),
            show_default=False,
        ),
    ] = "",
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
    from access_policy.errors import PolicyError
    from access_policy.vocabulary import purposes
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
    return _answered(found, answer, say("The request is on record.", "申请已留痕。"))


def list_(
    side: Annotated[
        str,
        typer.Option(
            help=say(
                "requester (made by us) or provider (to answer).",
                "requester（本部门提出）或 provider（待本部门答复）。",
            )
        ),
    ] = "requester",
    state: Annotated[
        str,
        typer.Option(help="submitted | granted | refused | withdrawn", show_default=False),
    ] = "",
    limit: Limit = 200,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
    from itertools import islice

    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    filters = {"side": side} | ({"state": state} if state else {})
    with read_profile(profile).connect(Passphrases(passphrase_file), service_key) as civic:
        found = list(islice(civic.requests(**filters), limit))
    columns = ("id", "state", "asset", "requester", "purpose", "ends")
    return table(
        {"requests": found},
        say("Requests", "申请"),
        [
            say("id", "编号"),
            say("state", "状态"),
            say("dataset", "数据集"),
            say("by", "申请部门"),
            say("purpose", "用途"),
            say("until", "截止"),
        ],
        [[one.get(column) for column in columns] for one in found],
    )


def show(
    request_id: Id,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    with read_profile(profile).connect(Passphrases(passphrase_file), service_key) as civic:
        found = find_request(civic, request_id)
    return facts(found, say("Request", "申请"), found.items())


def refuse(
    request_id: Id,
    reason: Annotated[str, typer.Option(help=" | ".join(REFUSAL_REASONS))],
    explanation: Annotated[str, typer.Option(help=say("Why, in words.", "文字说明。"))],
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
    answer = {"state": "refused", "reason": reason, "explanation": explanation}
    return _answer(request_id, answer, service_key, passphrase_file, profile)


def withdraw(
    request_id: Id,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
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
        say(f"there is no request {request_id[:60]} of this department", f"本部门没有申请 {request_id[:60]}"),
        hint="civic requests list --side provider",
        code="not-found.request",
    )


def _answer(
    request_id: str, answer: dict[str, str], service_key: str, passphrase_file: Any, profile: Any
) -> Said:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    found = read_profile(profile)
    with found.connect(Passphrases(passphrase_file), service_key) as civic:
        given = civic.answer_request(request_id, answer)
    return _answered(found, given, say("The answer is on record.", "答复已留痕。"))


def _answered(found: Any, answer: dict[str, Any], title: str) -> Said:
    answer["receipt"] = str(found.keep(answer["receipt"], answer.pop("call", None)))
    return facts(answer, title, [(name, value) for name, value in answer.items() if name != "entry"])
