"""``civic grant``, ``accept``, ``revoke``, ``suspend`` and ``lift``: acts that open and end access."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command, refuse_unused
from api.cli.commands.grant_register import has_no_terms, must_match_hashes
from api.cli.failures import CommandError, UsageError
from api.cli.governing import Proposal, SigningSession, governing
from api.cli.json_input import json_object, listed
from api.cli.options import Epoch, GrantId, PassphraseFile, PinnedVersion, ProfileOption, Reason, Stopper, Yes
from api.cli.output import CommandResult, facts
from api.cli.standings import value_words
from api.terminal.language import say
from contracts.codes import UNLIMITED

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
    "version", "template",
)  # fmt: skip
"""Parameters of ``civic grant`` that a finished agreement already contains."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    governing(
        app,
        "grant",
        "Grant access by signature: the terms are built, shown in words, signed here and recorded.",
    )(grant)
    command(app, "accept", "Accept a grant as its grantee: an officer signs the very same terms.")(accept)
    governing(app, "revoke", "End a grant at once and permanently.")(revoke)
    governing(app, "replace", "Replace a grant by a newer one; grants delegated from it remain in force.")(
        replace_
    )
    governing(
        app,
        "correct-uses",
        "Lower the recorded uses of a grant: an officer of its holder and one of its grantee sign.",
    )(correct_uses)
    governing(app, "suspend", "Stop a dataset (7.12) or a department (dept:9) at once.")(suspend)
    governing(app, "lift", "Lift the suspension of a dataset or department.")(lift)


Subject = Annotated[
    str,
    typer.Argument(metavar="SUBJECT", help=say("Dataset such as 7.12, or dept:9.")),
]


def grant(
    session: SigningSession,
    asset: Annotated[str, typer.Argument(metavar="[ASSET]", help=say("Dataset, such as 7.12."))] = "",
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help=say("Department that receives: a number, or any."),
            show_default=False,
        ),
    ] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option(help=say("Columns, separated by commas."), show_default=False),
    ] = None,
    purpose: Annotated[
        list[str] | None,
        typer.Option(
            help=say("Purpose with all it includes (repeat); see civic purposes."),
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            help=say('Rows, as JSON or @FILE: {"column", "op", "value"}.'),
            show_default=False,
        ),
    ] = "",
    transform: Annotated[
        list[str] | None,
        typer.Option(
            help=say(
                "COLUMN=mask:0:4 | pseudonym | truncate:month | band:10 | round:5 | clamp:18:90 | ladder:FILE (repeat)."
            ),
            show_default=False,
        ),
    ] = None,
    starts: Annotated[
        str,
        typer.Option("--from", help=say("Valid from; at once by default."), show_default=False),
    ] = "",
    until: Annotated[
        str,
        typer.Option(
            "--until",
            help=say("Valid until: an instant or a duration such as P90D."),
            show_default=False,
        ),
    ] = "",
    uses: Annotated[
        int | None,
        typer.Option(min=1, help=say("At most this many reads."), show_default=False),
    ] = None,
    duty: Annotated[
        list[str] | None,
        typer.Option(
            help=say("delete:P30D | report:P30D | assess | attribute ... (repeat)."),
            show_default=False,
        ),
    ] = None,
    legal_basis: Annotated[
        str,
        typer.Option(
            help=say("DPV legal basis that every read must state."),
            show_default=False,
        ),
    ] = "",
    version: PinnedVersion = None,
    law: Annotated[
        list[str] | None,
        typer.Option(
            help=say("Law the grant rests on, as a citation (repeat)."),
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
            help=say("A finished agreement (ODRL JSON-LD) instead."),
            show_default=False,
        ),
    ] = None,
    right: Annotated[str, typer.Option(help="hold | use | operate")] = "use",
    request: Annotated[
        str,
        typer.Option(
            help=say("The request that this grant answers; fills what is not said."),
            show_default=False,
        ),
    ] = "",
) -> Proposal:
    from api.cli.terms import GrantOptions, agreement_of, duties_of, grant_of, read_agreement, transforms_of
    from api.cli.times import optional_instant

    asked = _asked(session, request) if request else {}
    if terms is not None:
        refuse_unused("--terms", *OF_THE_TERMS)
        agreement = read_agreement(terms)
    else:
        everybody = template == "unconditional"
        if everybody:  # The terms are for every department and every purpose.
            refuse_unused("--template unconditional", "purpose", *(() if to in ("any", "0") else ("to",)))
        dataset = asset or str(asked.get("asset", ""))
        wanted = listed(columns) or [str(name) for name in asked.get("columns", ())]
        _must_say(
            dataset=dataset, columns=wanted, to=to or asked.get("requester") or template == "unconditional"
        )
        agreement = agreement_of(
            GrantOptions(
                assigner=session.profile.department,
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
                version=version,
                law=law or (),
            ),
            template,
        )
    draft = grant_of(agreement, right=right, request=request or None, deadline=session.deadline)
    return Proposal(draft, about={"grant": draft.id, "agreement": agreement})


def accept(
    grant_id: GrantId,
    key: Annotated[str, typer.Option(help=say("Officer's key of the grantee."), show_default=False)] = "",
    passphrase_file: PassphraseFile = None,
    yes: Yes = False,
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.governing import sign_with
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile
    from api.sdk.drafts import acceptance_of

    found = read_profile(profile)
    chosen = key or found.officer
    if not chosen:
        raise UsageError(say("no key is named that signs"), hint="--key NAME")
    with found.public() as civic:
        published = civic.grant(grant_id)
        if has_no_terms(published) or published["grantee"] == 0:
            raise CommandError(
                say("an emergency grant or a standing offer is not accepted"),
                code="act.nothing-to-accept",
            )
        must_match_hashes(grant_id, published)
        draft = replace(acceptance_of(published["terms"]), documents=(published["agreement"],))
        signed = sign_with(
            found,
            draft,
            [found.key_path(chosen)],
            Passphrases(passphrase_file),
            yes=yes,
            signed_by="grantee",
            title=say("Accept this grant"),
        )
        answer = civic.accept(grant_id, signed.signatures[0])
    answer["receipt"] = str(found.keep(answer["receipt"]))
    shown = [(name, value) for name, value in answer.items() if name != "entry"]
    return facts(answer, say("The grant is accepted."), shown)


def revoke(
    session: SigningSession,
    grant_id: GrantId,
    reason: Annotated[str, typer.Option(help=" | ".join(REASONS))] = "not-said",
) -> Proposal:
    from api.sdk.drafts import draft_revocation

    draft = draft_revocation(grant_id, reason, deadline=session.deadline)
    return Proposal(replace(draft, arguments=_as_delegator(session, grant_id)), about={"grant": grant_id})


def replace_(
    session: SigningSession,
    grant_id: GrantId,
    by: Annotated[
        str,
        typer.Option("--by", help=say("The newer grant: 0x and 64 hex digits.")),
    ],
) -> Proposal:
    from api.sdk.drafts import draft_replacement

    return Proposal(
        draft_replacement(grant_id, by, deadline=session.deadline), about={"grant": grant_id, "by": by}
    )


def correct_uses(
    session: SigningSession,
    grant_id: GrantId,
    total: Annotated[int, typer.Option(min=0, max=UNLIMITED - 1, help=say("The true number of uses."))],
) -> Proposal:
    from api.sdk.drafts import draft_correction

    return Proposal(draft_correction(grant_id, total, deadline=session.deadline), about={"grant": grant_id})


def suspend(
    session: SigningSession, subject: Subject, reason: Reason, by: Stopper = "holder", epoch: Epoch = None
) -> Proposal:
    return _stop_or_go(session, subject, reason, by, epoch, lift=False)


def lift(
    session: SigningSession, subject: Subject, reason: Reason, by: Stopper = "holder", epoch: Epoch = None
) -> Proposal:
    return _stop_or_go(session, subject, reason, by, epoch, lift=True)


def _stop_or_go(
    session: SigningSession, subject: str, reason: str, by: str, epoch: int | None, *, lift: bool
) -> Proposal:
    from api.sdk.drafts import draft_suspension

    found = _subject(subject)
    if isinstance(found, int):
        refuse_unused(say("a department"), "by")
        council = session.epoch(epoch)
        return Proposal(draft_suspension(found, reason, lift=lift, epoch=council, deadline=session.deadline))
    refuse_unused(say("a dataset"), "epoch")
    return Proposal(draft_suspension(found, reason, lift=lift, by=by, deadline=session.deadline))


# -- inside ---------------------------------------------------------------------------------------------


def _as_delegator(session: SigningSession, grant_id: str) -> dict[str, Any]:
    """The Terms that the contract needs if the department that delegated a grant ends it; their hash is the grant's
    id. The holder of the right passes nothing. A draft made without the service is the holder's."""
    from api.sdk.errors import ServiceUnreachable

    try:
        with session.profile.public() as civic:
            found = civic.grant(grant_id)
    except ServiceUnreachable:
        return {}
    passed_on = bool(found.get("parent")) and found.get("grantor") == session.profile.department
    return {"t": found["terms"]} if passed_on else {}


def _asked(session: SigningSession, request_id: str) -> dict[str, Any]:
    from api.cli.commands.requests import find_request

    with session.profile.connect(session.passphrases) as civic:
        found = find_request(civic, request_id)
    if found.get("state") != "submitted":
        raise CommandError(
            say("the request is {state} already", state=value_words("state", found.get("state"))),
            hint=say("grant without --request if another grant is meant"),
            code="request.state",
        )
    return found


def _must_say(**needed: object) -> None:
    options = {"dataset": "ASSET", "columns": "--columns", "to": "--to"}
    for name, value in needed.items():
        if not value:
            raise UsageError(
                say("the grant does not say {options}", options=options[name]),
                hint=say("give it, or --request ID, or --terms FILE"),
            )


def _department(text: str) -> int:
    from ledger.ids import parse_department

    return 0 if text == "any" else parse_department(text)


def _subject(text: str) -> str | int:
    from ledger.ids import parse_department

    return int(parse_department(text.removeprefix("dept:"))) if text.startswith("dept:") else text
