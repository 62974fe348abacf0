"""``civic grant``, ``accept``, ``revoke``, ``suspend`` and ``lift``: acts that open and close access."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command, refuse_unused
from api.cli.commands.grant_register import must_hold
from api.cli.failures import CommandError, UsageError
from api.cli.governing import Desk, Proposal, governing
from api.cli.json_input import json_object, listed
from api.cli.language import say
from api.cli.options import GrantId, PassphraseFile, ProfileOption, Yes
from api.cli.output import Said, facts

REASONS = (
    "not-said",
    "terms-breached",
    "purpose-ended",
    "asset-withdrawn",
    "key-compromised",
    "legal-order",
    "data-quality",
    "replaced",
)


OF_THE_TERMS = (
    "asset", "to", "columns", "purpose", "where", "transform", "starts", "until", "uses", "duty", "legal_basis", "law",
    "template",
)  # fmt: skip
"""Parameters of ``civic grant`` that a finished agreement says by itself."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    governing(
        app,
        "grant",
        "Grant access by signature: the terms are built, shown in words, signed here and recorded.",
        "以签名授权：生成条款、以文字展示、在本机签名并入账。",
    )(grant)
    command(
        app,
        "accept",
        "Accept a grant as its grantee: an officer signs the very same terms.",
        "作为使用部门接受授权：由人员签署同一份条款。",
    )(accept)
    governing(app, "revoke", "End a grant, at once and for ever.", "撤销授权，立即且永久生效。")(revoke)
    governing(
        app,
        "suspend",
        "Stop a dataset (7.12) or a department (dept:9) at once.",
        "立即中止数据集（7.12）或部门（dept:9）。",
    )(suspend)
    governing(app, "lift", "Let a suspended dataset or department go on.", "恢复被中止的数据集或部门。")(lift)


Subject = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT", help=say("Dataset such as 7.12, or dept:9.", "数据集如 7.12，或 dept:9。")
    ),
]
Reason = Annotated[str, typer.Option(help=say("Why, in words; it goes on record.", "原因说明，将留痕。"))]


def grant(
    desk: Desk,
    asset: Annotated[
        str, typer.Argument(metavar="[ASSET]", help=say("Dataset, such as 7.12.", "数据集，例如 7.12。"))
    ] = "",
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help=say("Department that receives: a number, or any.", "使用部门编号，或 any。"),
            show_default=False,
        ),
    ] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option(help=say("Columns, separated by commas.", "字段，以逗号分隔。"), show_default=False),
    ] = None,
    purpose: Annotated[
        list[str] | None,
        typer.Option(
            help=say(
                "Purpose with all it includes (repeat); see civic purposes.",
                "用途及其下位用途（可重复）；见 civic purposes。",
            ),
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            help=say('Rows, as JSON or @FILE: {"column", "op", "value"}.', "行条件：JSON 或 @文件。"),
            show_default=False,
        ),
    ] = "",
    transform: Annotated[
        list[str] | None,
        typer.Option(
            help=say(
                "COLUMN=mask:0:4 | pseudonym | truncate:month | band:10 | round:5 | clamp:18:90 | ladder:FILE (repeat).",
                "字段=mask:0:4 | pseudonym | truncate:month | band:10 | round:5 | clamp:18:90 | ladder:文件（可重复）。",
            ),
            show_default=False,
        ),
    ] = None,
    starts: Annotated[
        str,
        typer.Option(
            "--from", help=say("Valid from; at once by default.", "生效时间；默认立即。"), show_default=False
        ),
    ] = "",
    until: Annotated[
        str,
        typer.Option(
            "--until",
            help=say(
                "Valid until: an instant or a duration such as P90D.", "截止时间：时刻或时长，例如 P90D。"
            ),
            show_default=False,
        ),
    ] = "",
    uses: Annotated[
        int | None,
        typer.Option(min=1, help=say("At most this many reads.", "最多使用次数。"), show_default=False),
    ] = None,
    duty: Annotated[
        list[str] | None,
        typer.Option(
            help=say(
                "delete:P30D | report:P30D | assess | attribute ... (repeat).",
                "delete:P30D | report:P30D | assess | attribute …（可重复）。",
            ),
            show_default=False,
        ),
    ] = None,
    legal_basis: Annotated[
        str,
        typer.Option(
            help=say("DPV legal basis that every read must state.", "每次使用须声明的法律依据（DPV）。"),
            show_default=False,
        ),
    ] = "",
    law: Annotated[
        list[str] | None,
        typer.Option(
            help=say("Law the grant rests on, as a citation (repeat).", "授权所依据的法条（可重复）。"),
            show_default=False,
        ),
    ] = None,
    template: Annotated[
        str,
        typer.Option(
            help="agreement | unconditional | statistics-only | match-only | research-extract | emergency"
        ),
    ] = "agreement",
    terms: Annotated[
        Path | None,
        typer.Option(
            help=say("A finished agreement (ODRL JSON-LD) instead.", "改用已写好的协议（ODRL JSON-LD）。"),
            show_default=False,
        ),
    ] = None,
    right: Annotated[str, typer.Option(help="hold | use | operate")] = "use",
    request: Annotated[
        str,
        typer.Option(
            help=say(
                "The request that this grant answers; fills what is not said.",
                "所答复的申请编号；未写明的内容取自申请。",
            ),
            show_default=False,
        ),
    ] = "",
) -> Proposal:
    from api.cli.terms import Wish, agreement_of, duties_of, grant_of, read_agreement, transforms_of
    from api.cli.times import optional_instant

    asked = _asked(desk, request) if request else {}
    if terms is not None:
        refuse_unused("--terms", *OF_THE_TERMS)
        agreement = read_agreement(terms)
    else:
        everybody = template == "unconditional"
        if everybody:  # it is to any department, for any purpose
            refuse_unused("--template unconditional", "purpose", *(() if to in ("any", "0") else ("to",)))
        dataset = asset or str(asked.get("asset", ""))
        wanted = listed(columns) or [str(name) for name in asked.get("columns", ())]
        _must_say(
            dataset=dataset, columns=wanted, to=to or asked.get("requester") or template == "unconditional"
        )
        agreement = agreement_of(
            Wish(
                assigner=desk.profile.department,
                assignee=_department(to or str(asked.get("requester", "any"))),
                asset=dataset,
                columns=wanted,
                purposes=listed(purpose) or ([str(asked["purpose"])] if asked and not everybody else []),
                rows=json_object(where, "--where") if where else None,
                transforms=transforms_of(transform or ()),
                not_before=optional_instant(starts or str(asked.get("starts", ""))),
                expiry=optional_instant(until or str(asked.get("ends", ""))),
                max_uses=uses,
                duties=duties_of(listed(duty)),
                legal_basis=legal_basis or None,
                law=law or (),
            ),
            template,
        )
    draft = grant_of(agreement, right=right, request=request or None, deadline=desk.deadline)
    return Proposal(draft, about={"grant": draft.id, "agreement": agreement})


def accept(
    grant_id: GrantId,
    key: Annotated[
        str, typer.Option(help=say("Officer's key of the grantee.", "使用部门人员密钥。"), show_default=False)
    ] = "",
    passphrase_file: PassphraseFile = None,
    yes: Yes = False,
    profile: ProfileOption = None,
) -> Said:
    from api.cli.governing import sign_with
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile
    from api.sdk.drafts import acceptance_of

    found = read_profile(profile)
    chosen = key or found.officer
    if not chosen:
        raise UsageError(say("no key is named that signs", "未指定签名密钥"), hint="--key NAME")
    with found.public() as civic:
        said = civic.grant(grant_id)
        must_hold(grant_id, said)
        draft = replace(acceptance_of(said["terms"]), documents=(said["agreement"],))
        signed = sign_with(
            found,
            draft,
            [found.key_path(chosen)],
            Passphrases(passphrase_file),
            yes=yes,
            title=say("Accept this grant", "接受此授权"),
        )
        answer = civic.accept(grant_id, signed.signatures[0])
    answer["receipt"] = str(found.keep(answer["receipt"]))
    shown = [(name, value) for name, value in answer.items() if name != "entry"]
    return facts(answer, say("The grant is accepted.", "授权已接受。"), shown)


def revoke(
    desk: Desk,
    grant_id: GrantId,
    reason: Annotated[str, typer.Option(help=" | ".join(REASONS))] = "not-said",
) -> Proposal:
    from api.sdk.drafts import draft_revocation

    return Proposal(draft_revocation(grant_id, reason, deadline=desk.deadline), about={"grant": grant_id})


def suspend(desk: Desk, subject: Subject, reason: Reason) -> Proposal:
    from api.sdk.drafts import draft_suspension

    return Proposal(draft_suspension(_subject(subject), reason, deadline=desk.deadline))


def lift(desk: Desk, subject: Subject, reason: Reason) -> Proposal:
    from api.sdk.drafts import draft_suspension

    return Proposal(draft_suspension(_subject(subject), reason, lift=True, deadline=desk.deadline))


# -- inside ---------------------------------------------------------------------------------------------


def _asked(desk: Desk, request_id: str) -> dict[str, Any]:
    from api.cli.commands.requests import find_request

    with desk.profile.connect(desk.passphrases) as civic:
        found = find_request(civic, request_id)
    if found.get("state") != "submitted":
        raise CommandError(
            say(f"the request is {found.get('state')} already", f"该申请状态已为 {found.get('state')}"),
            hint=say("grant without --request if another grant is meant", "如需另行授权，请勿使用 --request"),
            code="request.state",
        )
    return found


def _must_say(**needed: object) -> None:
    options = {"dataset": "ASSET", "columns": "--columns", "to": "--to"}
    for name, value in needed.items():
        if not value:
            raise UsageError(
                say(f"the grant does not say {options[name]}", f"授权未写明 {options[name]}"),
                hint=say("give it, or --request ID, or --terms FILE", "请补充，或使用 --request、--terms"),
            )


def _department(text: str) -> int:
    from ledger.ids import parse_department

    return 0 if text == "any" else parse_department(text)


def _subject(text: str) -> str | int:
    from ledger.ids import parse_department

    return int(parse_department(text.removeprefix("dept:"))) if text.startswith("dept:") else text
