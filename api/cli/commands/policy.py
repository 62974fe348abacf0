"""``civic policy``: terms looked at before anybody signs them, and decisions run again. Offline, on files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.command import command
from api.cli.failures import FAILED
from api.cli.json_input import listed, pairs, read_object
from api.cli.language import language, say
from api.cli.options import department_number
from api.cli.output import Said, table
from api.cli.screen import lines

if TYPE_CHECKING:
    from access_policy.terms import Agreement

Files = Annotated[
    list[Path],
    typer.Argument(metavar="TERMS...", help=say("Agreements (ODRL JSON-LD).", "协议文件（ODRL JSON-LD）。")),
]
AssetOption = Annotated[
    str, typer.Option("--asset", help=say("Dataset, such as 7.12.", "数据集，例如 7.12。"))
]
Purpose = Annotated[
    str, typer.Option(help=say("Purpose, such as dpv:PublicBenefit.", "用途，例如 dpv:PublicBenefit。"))
]
Action = Annotated[str, typer.Option(help="read | aggregate | match | derive | redistribute")]
At = Annotated[
    str,
    typer.Option(help=say("At this instant; now by default.", "判定时刻；默认现在。"), show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say("Terms, before anybody signs them.", "签署之前检视条款。"), no_args_is_help=True
    )
    app.add_typer(group, name="policy")
    command(
        group,
        "check",
        "Are these terms well formed, free of conflicts, and is every rule of use?",
        "条款是否合规、有无冲突、是否每条规则都有作用？",
    )(check)
    command(
        group, "explain", "Decide a call under these terms and say why.", "依据条款判定一次调用并说明原因。"
    )(explain_call)
    command(group, "who-can", "Whom these terms let in.", "这些条款允许谁使用。")(who_can)
    command(
        group,
        "diff",
        "What a change of terms newly permits and newly denies, with calls that show it.",
        "条款变更新允许和新拒绝了什么，并附示例调用。",
    )(diff)
    command(
        group,
        "replay",
        "Run recorded decisions again and compare.",
        "重演已留痕的决定并比对。",
    )(replay)


def check(files: Files) -> Said:
    from access_policy.review import check_document

    grants = _agreements(files)
    document = check_document(grants)
    found, idle = document["conflicts"], document["unreachable"]
    certain = [one for one in idle if one["cause"] != "unknown"]

    def show(_: Any) -> None:
        lines(say(f"{len(grants)} agreements are well formed.", f"{len(grants)} 份协议格式合规。"))
        lines(say(f"Conflicts: {found['verdict']}.", f"冲突：{found['verdict']}。"))
        for one in found["found"]:
            lines(
                f"  {' '.join(one['permission'])} / {' '.join(one['prohibition'])}: {one['witness']['request']}"
            )
        for one in idle:
            said = f"{one['name']} {one['rule']}"
            lines(say(f"Never has an effect: {said} ({one['cause']})", f"从不生效：{said}（{one['cause']}）"))

    return Said(document, show, FAILED if found["verdict"] == "conflict" or certain else 0)


def explain_call(
    files: Files,
    by: Annotated[
        int,
        typer.Option(
            "--by",
            parser=department_number,
            metavar="NUMBER",
            help=say("Department that calls.", "调用部门编号。"),
        ),
    ],
    asset: AssetOption,
    purpose: Purpose,
    action: Action = "read",
    columns: Annotated[
        list[str] | None,
        typer.Option(help=say("Columns, separated by commas.", "字段，以逗号分隔。"), show_default=False),
    ] = None,
    at: At = "",
    used: Annotated[
        int, typer.Option(min=0, help=say("Uses made already, of each.", "各授权已用次数。"))
    ] = 0,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            help=say("NAME=VALUE that the call states (repeat).", "调用声明的 名称=值（可重复）。"),
            show_default=False,
        ),
    ] = None,
) -> Said:
    from access_policy.decision import Context, Permit, Request
    from access_policy.engine import decide
    from access_policy.explain import explanation
    from access_policy.report import compliance_report, report_to_json
    from access_policy.review import decision_document
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
    )
    counts = dict.fromkeys(grants, used) if used else {}
    context = Context(now, used=counts, first_used=dict.fromkeys(counts, now))
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
    return Said(
        document, lambda _: lines(*explanation(decision, language()).told()), 0 if permitted else FAILED
    )


def who_can(files: Files, asset: AssetOption, purpose: Purpose, action: Action = "read", at: At = "") -> Said:
    from access_policy.review import who_can_document
    from ledger.ids import asset_iri, parse_asset

    document = who_can_document(
        asset_iri(parse_asset(asset)), action, purpose, _instant(at), _agreements(files)
    )
    return table(
        document,
        say("Who can", "谁可使用"),
        [
            say("who", "主体"),
            say("terms", "条款"),
            say("columns", "字段"),
            say("until", "截止"),
            say("still asked for", "尚需满足"),
        ],
        [
            [
                one["assignee"],
                one["terms"],
                one["columns"],
                one["until"],
                [*one["conditions"], *one["limits"]],
            ]
            for one in document["who"]
        ],
    )


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help=say("Terms in force.", "现行条款。"))],
    new: Annotated[Path, typer.Argument(metavar="NEW", help=say("Terms proposed.", "拟议条款。"))],
) -> Said:
    from access_policy.review import diff_document

    document = diff_document(_agreements([old])[str(old)], _agreements([new])[str(new)])
    words = {
        "newly permitted": say("newly permitted", "新允许"),
        "newly denied": say("newly denied", "新拒绝"),
        "bounds changed": say("other bounds", "范围变化"),
    }

    def show(_: Any) -> None:
        if not document["changes"]:
            lines(say("No call is decided differently.", "没有调用的判定发生变化。"))
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
            lines(say("There may be more than this.", "可能还有其他变化。"))

    return Said(document, show)


def replay(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help=say("Entries, disclosures and grants, as JSON.", "条目、披露与授权（JSON）。"),
        ),
    ],
) -> Said:
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
        say("Replayed", "重演"),
        [say("entry", "条目"), say("verdict", "结论"), say("why", "原因")],
        [[entry, one.verdict, one.why] for entry, one in found],
    )
    return Said(document, said.show, FAILED if document["different"] else 0)


# -- inside ---------------------------------------------------------------------------------------------


def _agreements(files: Sequence[Path]) -> dict[str, Agreement]:
    """The agreements by the names of their files."""
    from access_policy.errors import TermsError
    from access_policy.terms import Agreement, parse_terms

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
