"""``civic department``: who takes part, who may sign for whom, and which machines may call."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.governing import Desk, Proposal, governing
from api.cli.json_input import listed
from api.cli.language import language, say
from api.cli.options import Limit, ProfileOption, department_number
from api.cli.output import Said, facts, table

Number = Annotated[
    int,
    typer.Argument(
        metavar="NUMBER", parser=department_number, help=say("The department's number.", "部门编号。")
    ),
]
Roles = Annotated[
    list[str], typer.Option("--roles", help=say("Roles, separated by commas.", "角色，以逗号分隔。"))
]
From = Annotated[
    str,
    typer.Option(
        "--from",
        help=say("Valid from: an instant or a duration.", "生效时间：时刻或时长。"),
        show_default=False,
    ),
]
Until = Annotated[
    str,
    typer.Option(
        "--until",
        help=say("Valid until: an instant or a duration.", "截止时间：时刻或时长。"),
        show_default=False,
    ),
]
Reason = Annotated[str, typer.Option(help=say("Why, in words; it goes on record.", "原因说明，将留痕。"))]
Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO", help=say("Address, or a key file's name or path.", "地址，或密钥文件的名称或路径。")
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say("Departments, their officers and keys.", "部门及其人员与密钥。"), no_args_is_help=True
    )
    app.add_typer(group, name="department")
    command(group, "list", "The departments that take part.", "列出参与部门。")(list_)
    command(group, "show", "One department with its officers and keys.", "显示一个部门及其人员与密钥。")(show)
    governing(
        group,
        "admit",
        "Admit a department: signed by the council, then by each of its first officers.",
        "接纳部门：由理事会签署，并由其首批人员逐一签名。",
        lives="P30D",
    )(admit)
    governing(
        group,
        "add-officer",
        "Give an address an office: signed by who may give the roles (steward: two officers), and by the new officer.",
        "任命人员：由有权授予角色者（steward 须两名人员）与新任人员签名。",
    )(add_officer)
    governing(group, "remove-officer", "Take an office away, at once.", "免除人员，立即生效。")(
        remove_officer
    )
    governing(
        group,
        "add-key",
        "Register a machine's key: a service key for calls, or an attest key.",
        "登记机器密钥：用于调用的服务密钥，或证明密钥。",
    )(add_key)
    governing(
        group, "remove-key", "Remove a machine's key, at once and for ever.", "移除机器密钥，立即且永久生效。"
    )(remove_key)
    governing(group, "suspend", "Stop a department at once.", "立即中止一个部门。")(suspend)
    governing(
        group,
        "lift",
        "Let a suspended department go on: the council signs.",
        "恢复被中止的部门：由理事会签署。",
    )(lift)


def list_(limit: Limit = 200, profile: ProfileOption = None) -> Said:
    from itertools import islice

    from api.cli.profile import read_profile

    with read_profile(profile).public() as civic:
        found = list(islice(civic.departments(), limit))
    return table(
        {"departments": found},
        say("Departments", "部门"),
        [say("number", "编号"), say("name", "名称"), say("status", "状态"), say("since", "接纳时间")],
        [[one.get("id"), _name(one), one.get("status"), one.get("admitted_at")] for one in found],
    )


def show(number: Number, profile: ProfileOption = None) -> Said:
    from api.cli.profile import read_profile
    from api.cli.times import unix_text

    with read_profile(profile).public() as civic:
        found = civic.department(number)
    pairs: list[tuple[str, object]] = [
        (say("number", "编号"), found.get("id")),
        (say("status", "状态"), found.get("status")),
        (say("recovery key", "恢复密钥"), found.get("recovery")),
    ]
    groups = {
        "officers": say("officer", "人员"),
        "attest_keys": say("attest key", "证明密钥"),
        "service_keys": say("service key", "服务密钥"),
    }
    for member, label in groups.items():
        for one in found.get(member, ()):
            roles = ", ".join(one.get("roles", ()))
            state = one.get("status") or (say("removed", "已移除") if one.get("removed") else "")
            end = unix_text(one.get("not_after"))
            pairs.append(
                (label, "  ".join(filter(None, (one.get("address", one.get("key")), roles, state, end))))
            )
    return facts(found, _name(found) or str(number), pairs)


def admit(
    desk: Desk,
    number: Number,
    name_zh: Annotated[str, typer.Option(help=say("Name in Chinese.", "中文名称。"))],
    name_en: Annotated[str, typer.Option(help=say("Name in English.", "英文名称。"))],
    recovery: Annotated[
        str, typer.Option(help=say("Recovery key: address or key file.", "恢复密钥：地址或密钥文件。"))
    ],
    seat: Annotated[
        list[str],
        typer.Option(
            help=say(
                "First officer or attest key, as WHO:ROLE,ROLE (repeat).",
                "首批人员或证明密钥，写作 WHO:角色,角色（可重复）。",
            )
        ),
    ],
    service_key: Annotated[
        list[str] | None,
        typer.Option(
            help=say(
                "Service key, as 64 hex digits or key file, optionally :ROLE,ROLE (repeat).",
                "服务密钥：64 位十六进制或密钥文件，可加 :角色（可重复）。",
            )
        ),
    ] = None,
    kind: Annotated[str, typer.Option(help=say("Kind of party.", "主体类型。"))] = "department",
) -> Proposal:
    from api.sdk.drafts import NewSeat, NewServiceKey, department_profile, draft_admission

    seats = []
    for text in seat:
        who, _, roles = text.rpartition(":")
        seats.append(NewSeat(_address(desk, who or roles), listed([roles]) if who else ("admin",)))
    machines = []
    for text in service_key or ():
        who, _, roles = text.rpartition(":")
        machines.append(
            NewServiceKey(_service_key(desk, who or roles), listed([roles]) if who else ("reader",))
        )
    return Proposal(
        draft_admission(
            number,
            _address(desk, recovery),
            seats,
            machines,
            profile=department_profile(name_zh, name_en, kind),
            deadline=desk.deadline,
        )
    )


def add_officer(
    desk: Desk, number: Number, who: Who, roles: Roles, starts: From = "", until: Until = ""
) -> Proposal:
    from api.sdk.drafts import draft_officer

    before, after = _term(starts, until)
    draft = draft_officer(
        number, _address(desk, who), listed(roles), not_before=before, not_after=after, deadline=desk.deadline
    )
    return Proposal(draft)


def remove_officer(desk: Desk, who: Who) -> Proposal:
    from api.sdk.drafts import draft_officer_removal

    return Proposal(draft_officer_removal(_address(desk, who), deadline=desk.deadline))


def add_key(
    desk: Desk,
    number: Number,
    machine: Annotated[
        str,
        typer.Argument(
            metavar="MACHINE",
            help=say(
                "Key file, 64 hex digits (service) or address (attest).",
                "密钥文件、64 位十六进制（服务）或地址（证明）。",
            ),
        ),
    ],
    roles: Annotated[
        list[str] | None,
        typer.Option(
            "--roles", help=say("Roles: reader by default, or attest.", "角色：默认 reader，或 attest。")
        ),
    ] = None,
    starts: From = "",
    until: Until = "",
) -> Proposal:
    from api.sdk.drafts import NewServiceKey, draft_attest_key, draft_service_key

    before, after = _term(starts, until)
    public = _public(desk, machine)
    if public.startswith("0x") and len(public) == 42:
        draft = draft_attest_key(
            number,
            public,
            listed(roles) or ("attest",),
            not_before=before,
            not_after=after,
            deadline=desk.deadline,
        )
    else:
        key = NewServiceKey(public, listed(roles) or ("reader",), not_before=before, not_after=after)
        draft = draft_service_key(number, key, deadline=desk.deadline)
    return Proposal(draft)


def remove_key(
    desk: Desk,
    number: Number,
    machine: Annotated[
        str,
        typer.Argument(
            metavar="MACHINE",
            help=say(
                "Key file, 64 hex digits (service) or address (attest).",
                "密钥文件、64 位十六进制（服务）或地址（证明）。",
            ),
        ),
    ],
) -> Proposal:
    from api.sdk.drafts import draft_attest_key_removal, draft_service_key_removal

    public = _public(desk, machine)
    if public.startswith("0x") and len(public) == 42:
        _must_have(desk, number, public)  # the message names the key alone
        return Proposal(draft_attest_key_removal(public, deadline=desk.deadline))
    return Proposal(draft_service_key_removal(number, public, deadline=desk.deadline))


def suspend(desk: Desk, number: Number, reason: Reason) -> Proposal:
    from api.sdk.drafts import draft_suspension

    return Proposal(draft_suspension(number, reason, deadline=desk.deadline))


def lift(desk: Desk, number: Number, reason: Reason) -> Proposal:
    from api.sdk.drafts import draft_suspension

    return Proposal(draft_suspension(number, reason, lift=True, deadline=desk.deadline))


# -- reading what was given -----------------------------------------------------------------------------


def _must_have(desk: Desk, number: int, address: str) -> None:
    """CommandError unless this attest key is of this department."""
    from api.cli.failures import CommandError

    with desk.profile.public() as civic:
        keys = civic.department(number)["attest_keys"]
    if address.lower() not in (str(one["address"]).lower() for one in keys):
        raise CommandError(
            say(
                f"{address} is no attest key of department {number}",
                f"{address} 不是部门 {number} 的证明密钥",
            ),
            hint=f"civic department show {number}",
            code="not-found.key",
        )


def _public(desk: Desk, text: str) -> str:
    """An address, a public key in hex, or what a key file says of itself."""
    from api.sdk.keystore import key_info

    bare = text.removeprefix("0x")
    if len(bare) in (40, 64) and all(character in "0123456789abcdefABCDEF" for character in bare):
        return "0x" + bare if len(bare) == 40 else bare.lower()
    return key_info(desk.profile.key_path(text)).public


def _address(desk: Desk, text: str) -> str:
    from api.cli.failures import UsageError

    public = _public(desk, text)
    if not (public.startswith("0x") and len(public) == 42):
        raise UsageError(
            say(f"{text[:60]} is a service key, not an address", f"{text[:60]} 是服务密钥，不是地址")
        )
    return public


def _service_key(desk: Desk, text: str) -> str:
    from api.cli.failures import UsageError

    public = _public(desk, text)
    if len(public) != 64:
        raise UsageError(say(f"{text[:60]} is not a service key", f"{text[:60]} 不是服务密钥"))
    return public


def _term(starts: str, until: str) -> tuple[int, int]:
    from api.cli.times import optional_instant
    from api.sdk.codes import FOREVER

    first, last = optional_instant(starts), optional_instant(until)
    return int(first.timestamp()) if first else 0, int(last.timestamp()) if last else FOREVER


def _name(one: dict[str, Any]) -> str:
    """A department's name in the command's language, from its entry."""
    named = (one.get("profile") or {}).get("name", "")
    if isinstance(named, dict):
        return str(named.get(language()) or next(iter(named.values()), ""))
    return str(named)
