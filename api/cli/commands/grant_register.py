"""``civic grants``: the public register of grants. What the service shows of one is recomputed before it is shown."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.failures import CommandError
from api.cli.language import say
from api.cli.options import GrantId, Limit, ProfileOption, department_number
from api.cli.output import Said, facts, table
from api.cli.standings import left_words, status_words
from api.cli.times import unix_text


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say("The register of grants: public, so that everybody can see it.", "授权公示：任何人可查。"),
        no_args_is_help=True,
    )
    app.add_typer(group, name="grants")
    command(
        group,
        "list",
        "Who may read what, for which purpose, until when.",
        "谁可使用什么数据、何种用途、至何时。",
    )(list_)
    command(group, "show", "One grant with its agreement.", "显示一项授权及其协议。")(show)


def list_(
    asset: Annotated[
        str, typer.Option(help=say("Only of this dataset.", "仅此数据集。"), show_default=False)
    ] = "",
    grantee: Annotated[
        int | None,
        typer.Option(
            parser=department_number,
            metavar="NUMBER",
            help=say("Only to this department.", "仅此使用部门。"),
            show_default=False,
        ),
    ] = None,
    limit: Limit = 200,
    profile: ProfileOption = None,
) -> Said:
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
        say("Grants", "授权"),
        [
            say("id", "编号"),
            say("dataset", "数据集"),
            say("to", "使用部门"),
            say("status", "状态"),
            say("uses left", "剩余次数"),
            say("purpose", "用途"),
            say("until", "截止"),
        ],
        [
            [
                one["id"],
                one["asset"],
                one["grantee"] or say("every department", "所有部门"),
                status_words(one),
                left_words(one["left"]),
                _purposes(one.get("agreement")),
                unix_text(one.get("expiry")),
            ]
            for one in found
        ],
    )


def show(grant_id: GrantId, profile: ProfileOption = None) -> Said:
    from access_policy.terms import parse_terms
    from api.cli.agreements import agreement_words, author_words
    from api.cli.profile import read_profile

    with read_profile(profile).public() as civic:
        found = civic.grant(grant_id)
    must_hold(grant_id, found)
    pairs: list[tuple[str, object]] = [
        (name, status_words(found) if name == "status" else _words(name, value))
        for name, value in found.items()
        if name not in ("terms", "agreement", "chain_asked", "as_of_block")
    ]
    title = say("Grant (its id and its agreement recompute)", "授权（编号与协议已重算一致）")
    terms = parse_terms(found["agreement"])
    mark = say(" (the author's words, no term)", "（作者自述，不构成条款）")
    free = [(label + mark, text) for label, text in author_words(terms)]
    return facts(found, title, [*pairs, *agreement_words(terms), *free])


def _words(name: str, value: object) -> object:
    if name in ("not_before", "expiry"):
        return unix_text(value)
    return left_words(value) if name == "left" else value


# -- inside ---------------------------------------------------------------------------------------------


def must_hold(grant_id: str, said: dict[str, Any]) -> None:
    """What the service shows must be what was signed: the id is the hash of the Terms, which name the agreement."""
    from api.sdk.drafts import acceptance_of, document_hash
    from ledger.ids import parse_grant

    terms = said.get("terms")
    if not isinstance(terms, dict) or acceptance_of(terms).id != parse_grant(grant_id):
        raise CommandError(
            say("the terms that the service shows are not those of this grant", "服务给出的条款与该授权不符"),
            hint=say("tell the auditor", "请告知审计员"),
            code="grant.tampered",
        )
    agreement = said.get("agreement")
    if not isinstance(agreement, dict) or document_hash(agreement) != terms["termsHash"]:
        raise CommandError(
            say(
                "the agreement that the service shows is not the one that was signed",
                "服务给出的协议与签署的不符",
            ),
            hint=say("tell the auditor", "请告知审计员"),
            code="terms.tampered",
        )


def _purposes(agreement: object) -> list[str]:
    """The purposes that an agreement names, as it names them."""
    found: list[str] = []
    rules = agreement.get("permission", ()) if isinstance(agreement, dict) else ()
    for constraint in (one for rule in rules for one in rule.get("constraint", ())):
        if constraint.get("leftOperand") == "purpose":
            value = constraint.get("rightOperand")
            for item in value if isinstance(value, list) else [value]:
                found.append(str(item.get("@id", item) if isinstance(item, dict) else item))
    return found
