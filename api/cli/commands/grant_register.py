"""``civic grants``: the public register of grants. The hashes of a grant are recomputed before it is shown."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.failures import CommandError
from api.cli.options import GrantId, Limit, ProfileOption, department_number
from api.cli.output import CommandResult, facts, table
from api.cli.standings import left_words, status_words
from api.cli.times import unix_text
from api.terminal.language import say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say("The register of grants: public, so that everybody can see it."),
        no_args_is_help=True,
    )
    app.add_typer(group, name="grants")
    command(group, "list", "Who may read what, for which purpose, until when.")(list_)
    command(group, "show", "One grant with its agreement.")(show)


def list_(
    asset: Annotated[str, typer.Option(help=say("Only of this dataset."), show_default=False)] = "",
    grantee: Annotated[
        int | None,
        typer.Option(
            parser=department_number,
            metavar="NUMBER",
            help=say("Only to this department."),
            show_default=False,
        ),
    ] = None,
    limit: Limit = 200,
    profile: ProfileOption = None,
) -> CommandResult:
    from itertools import islice

    from api.cli.profile import read_profile

    filters: dict[str, str | int] = {}
    if asset:
        filters["asset"] = asset
    if grantee is not None:
        filters["grantee"] = grantee
    with read_profile(profile).public() as civic:
        found = list(islice(civic.grants(**filters), limit))
    return table(
        {"grants": found},
        say("Grants"),
        [
            say("id"),
            say("dataset"),
            say("to"),
            say("status"),
            say("uses left"),
            say("purpose"),
            say("until"),
        ],
        [
            [
                one["id"],
                one["asset"],
                one["grantee"] or say("every department"),
                status_words(one),
                left_words(one["left"]),
                _purposes(one.get("agreement")),
                unix_text(one.get("expiry")),
            ]
            for one in found
        ],
    )


def show(grant_id: GrantId, profile: ProfileOption = None) -> CommandResult:
    from access_policy.terms.agreement import parse_terms
    from api.cli.agreements import agreement_words, author_words
    from api.cli.profile import read_profile

    with read_profile(profile).public() as civic:
        found = civic.grant(grant_id)
    pairs: list[tuple[str, object]] = [
        (name, status_words(found) if name == "status" else _words(name, value))
        for name, value in found.items()
        if name not in ("terms", "agreement", "chain_asked", "as_of_block")
    ]
    if has_no_terms(found):
        title = say("Grant without terms (nothing to recompute)")
        return facts(found, title, pairs)
    must_match_hashes(grant_id, found)
    title = say("Grant (its id and its agreement recompute)")
    terms = parse_terms(found["agreement"])
    mark = say(" (the author's words, no term)")
    free = [(label + mark, text) for label, text in author_words(terms)]
    return facts(found, title, [*pairs, *agreement_words(terms), *free])


def _words(name: str, value: object) -> object:
    if name in ("not_before", "expiry"):
        return unix_text(value)
    if name == "conditions" and isinstance(value, list):
        return ", ".join(f"{one['id']} ({one['kind']}, {one['status']})" for one in value) or say("none")
    return left_words(value) if name == "left" else value


# -- inside ---------------------------------------------------------------------------------------------


def has_no_terms(published: dict[str, Any]) -> bool:
    """Whether the service shows a grant without Terms: an emergency grant, or one that was cancelled before it
    began."""
    return published.get("kind") in ("emergency", "cancelled") and not published.get("terms")


def must_match_hashes(grant_id: str, published: dict[str, Any]) -> None:
    """Check what the service shows against the signatures: the id is the hash of the Terms, which name the
    agreement."""
    from api.sdk.drafts import acceptance_of, document_hash
    from ledger.ids import parse_grant

    terms = published.get("terms")
    if not isinstance(terms, dict) or acceptance_of(terms).id != parse_grant(grant_id):
        raise CommandError(
            say("the terms that the service shows are not those of this grant"),
            hint=say("tell the auditor"),
            code="grant.tampered",
        )
    agreement = published.get("agreement")
    if not isinstance(agreement, dict) or document_hash(agreement) != terms["termsHash"]:
        raise CommandError(
            say("the agreement that the service shows is not the one that was signed"),
            hint=say("tell the auditor"),
            code="terms.tampered",
        )


def _purposes(agreement: object) -> list[str]:
    """The purposes of an agreement, as it spells them."""
    found: list[str] = []
    rules = agreement.get("permission", ()) if isinstance(agreement, dict) else ()
    for constraint in (one for rule in rules for one in rule.get("constraint", ())):
        if constraint.get("leftOperand") == "purpose":
            value = constraint.get("rightOperand")
            for item in value if isinstance(value, list) else [value]:
                found.append(str(item.get("@id", item) if isinstance(item, dict) else item))
    return found
