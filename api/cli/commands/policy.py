"""``civic policy``: analyse terms before they are signed, and run decisions again. Offline, on files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.command import command
from api.cli.failures import FAILED
from api.cli.json_input import listed, pairs, read_object
from api.cli.options import NamedVersion, department_number
from api.cli.output import CommandResult, table
from api.terminal.language import language, say
from api.terminal.screen import lines
from ledger.counts import counted

if TYPE_CHECKING:
    from access_policy.terms.agreement import Agreement

Files = Annotated[
    list[Path],
    typer.Argument(metavar="TERMS...", help=say("Agreements (ODRL JSON-LD).")),
]
AssetOption = Annotated[str, typer.Option("--asset", help=say("Dataset, such as 7.12."))]
Purpose = Annotated[str, typer.Option(help=say("Purpose, such as dpv:PublicBenefit."))]
Action = Annotated[str, typer.Option(help="read | aggregate | match | derive | redistribute")]
At = Annotated[
    str,
    typer.Option(help=say("At this instant; now by default."), show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=say("Terms, before anybody signs them."), no_args_is_help=True)
    app.add_typer(group, name="policy")
    command(group, "check", "Are these terms well formed, free of conflicts, and is every rule of use?")(
        check
    )
    command(group, "explain", "Decide a call under these terms and say why.")(explain_call)
    command(group, "who-can", "Whom these terms let in.")(who_can)
    command(group, "diff", "What a change of terms newly permits and newly denies, with calls that show it.")(
        diff
    )
    command(group, "replay", "Run recorded decisions again and compare.")(replay)


def check(files: Files) -> CommandResult:
    from access_policy.analysis.review import check_document

    grants = _agreements(files)
    document = check_document(grants)
    found, idle = document["conflicts"], document["unreachable"]
    certain = [one for one in idle if one["cause"] != "unknown"]

    def show(_: Any) -> None:
        lines(
            say(
                "{agreements} well formed.", agreements=counted(len(grants), "agreement is", "agreements are")
            )
        )
        lines(say("Conflicts: {verdict}.", verdict=found["verdict"]))
        for one in found["found"]:
            lines(
                f"  {' '.join(one['permission'])} / {' '.join(one['prohibition'])}: {one['witness']['request']}"
            )
        for one in idle:
            said = f"{one['name']} {one['rule']}"
            lines(say("Never has an effect: {said} ({cause})", said=said, cause=one["cause"]))

    return CommandResult(document, show, FAILED if found["verdict"] == "conflict" or certain else 0)


def explain_call(
    files: Files,
    by: Annotated[
        int,
        typer.Option(
            "--by",
            parser=department_number,
            metavar="NUMBER",
            help=say("Department that calls."),
        ),
    ],
    asset: AssetOption,
    purpose: Purpose,
    action: Action = "read",
    columns: Annotated[
        list[str] | None,
        typer.Option(help=say("Columns, separated by commas."), show_default=False),
    ] = None,
    at: At = "",
    used: Annotated[int, typer.Option(min=0, help=say("Uses made already, of each."))] = 0,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            help=say("NAME=VALUE that the call states (repeat)."),
            show_default=False,
        ),
    ] = None,
    version: NamedVersion = None,
    current: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=(1 << 32) - 1,
            help=say("The dataset's current version."),
            show_default=False,
        ),
    ] = None,
) -> CommandResult:
    from access_policy.analysis.report import compliance_report, report_to_json
    from access_policy.analysis.review import decision_document
    from access_policy.decision.answers import Context, Permit, Request
    from access_policy.decision.engine import decide
    from access_policy.explain.wording import explanation
    from ledger.ids import asset_iri, department_iri, parse_asset

    grants = _agreements(files)
    now = _instant(at)
    request = Request(
        department_iri(by),
        asset_iri(parse_asset(asset)),
        action,
        purpose,
        tuple(listed(columns)),
        attributes=pairs(attribute or (), "--attribute"),
        version=version,
    )
    counts = dict.fromkeys(grants, used) if used else {}
    context = Context(now, used=counts, first_used=dict.fromkeys(counts, now), version=current)
    decision = decide(request, grants, context)
    document = {
        "explanation": {
            "en": explanation(decision, "en").to_json(),
            "zh": explanation(decision, "zh").to_json(),
        },
        "report": report_to_json(compliance_report(request, grants, context)),
        **decision_document(decision),
    }
    permitted = isinstance(decision, Permit)
    return CommandResult(
        document, lambda _: lines(*explanation(decision, language()).text_lines()), 0 if permitted else FAILED
    )


def who_can(
    files: Files, asset: AssetOption, purpose: Purpose, action: Action = "read", at: At = ""
) -> CommandResult:
    from access_policy.analysis.review import who_can_document
    from ledger.ids import asset_iri, parse_asset

    document = who_can_document(
        asset_iri(parse_asset(asset)), action, purpose, _instant(at), _agreements(files)
    )
    return table(
        document,
        say("Who can"),
        [
            say("who"),
            say("terms"),
            say("columns"),
            say("version"),
            say("until"),
            say("still asked for"),
        ],
        [
            [
                one["assignee"],
                one["terms"],
                one["columns"],
                one["version"] or say("current"),
                one["until"],
                [*one["conditions"], *one["limits"]],
            ]
            for one in document["who"]
        ],
    )


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help=say("Terms in force."))],
    new: Annotated[Path, typer.Argument(metavar="NEW", help=say("Terms proposed."))],
) -> CommandResult:
    from access_policy.analysis.review import diff_document

    document = diff_document(_agreements([old])[str(old)], _agreements([new])[str(new)])
    words = {
        "newly permitted": say("newly permitted"),
        "newly denied": say("newly denied"),
        "bounds changed": say("other bounds"),
    }

    def show(_: Any) -> None:
        if not document["changes"]:
            lines(say("No call is decided differently."))
        for one in document["changes"]:
            called = one["witness"]["request"]
            said = [
                called["assignee"],
                called["action"],
                called["asset"],
                called["purpose"],
                ", ".join(called["columns"]),
            ]
            lines(f"{words[one['kind']]}: {' '.join(said)}".rstrip())
        if not document["exhaustive"]:
            lines(say("There may be more than this."))

    return CommandResult(document, show)


def replay(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help=say("Entries, disclosures and grants, as JSON."),
        ),
    ],
) -> CommandResult:
    from api.cli.replaying import replay_all

    found = replay_all(read_object(file, "FILE"))
    document = {
        "replayed": [{"entry": entry, "verdict": one.verdict, "why": one.why} for entry, one in found],
        "same": sum(one.verdict == "same" for _, one in found),
        "different": sum(one.verdict == "different" for _, one in found),
        "not_replayable": sum(one.verdict == "not replayable" for _, one in found),
    }
    said = table(
        document,
        say("Replayed"),
        [say("entry"), say("verdict"), say("why")],
        [[entry, one.verdict, one.why] for entry, one in found],
    )
    return CommandResult(document, said.show, FAILED if document["different"] else 0)


# -- inside ---------------------------------------------------------------------------------------------


def _agreements(files: Sequence[Path]) -> dict[str, Agreement]:
    """The agreements by the names of their files."""
    from access_policy.errors import TermsError
    from access_policy.terms.agreement import Agreement, parse_terms

    found: dict[str, Agreement] = {}
    for path in files:
        terms = parse_terms(read_object(path, str(path)))
        if not isinstance(terms, Agreement):
            raise TermsError(f"{path.name} is not an agreement; offers and requests decide nothing")
        found[str(path)] = terms
    return found


def _instant(text: str) -> datetime:
    from api.cli.times import instant

    return instant(text) if text else datetime.now(UTC)
