"""Options that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.language import say

Home = Annotated[
    Path, typer.Option("--home", envvar="CIVIC_HOME", help=say("The installation's directory.", "安装目录。"))
]
Host = Annotated[
    str | None,
    typer.Option(
        "--host",
        help=say(
            "Address to listen on (or CIVIC_HOST; default 127.0.0.1).",
            "监听地址（或 CIVIC_HOST；默认 127.0.0.1）。",
        ),
        show_default=False,
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        help=say(
            "Port (or CIVIC_PORT; default: one per command); 0 takes a free one.",
            "端口（或 CIVIC_PORT；默认值因命令而异）；0 表示任意空闲端口。",
        ),
        show_default=False,
    ),
]
ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        help=say("Profile directory (or CIVIC_PROFILE).", "配置目录（或 CIVIC_PROFILE）。"),
        show_default=False,
    ),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help=say("File with the passphrase of the keys.", "密钥口令文件。"),
        show_default=False,
    ),
]
ServiceKeyOption = Annotated[
    str,
    typer.Option(
        "--service-key",
        help=say(
            "Key file that signs the call: a name in the profile, or a path.",
            "为调用签名的密钥：配置中的名称或文件路径。",
        ),
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help=say("Do not ask before signing.", "签名前不再询问。"))]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        help=say(
            "Officer's key that signs: a name in the profile, or a path (repeat for a quorum).",
            "签名的人员密钥：配置中的名称或文件路径（会签时可重复）。",
        ),
        show_default=False,
    ),
]
Save = Annotated[
    Path | None,
    typer.Option(
        "--save",
        help=say(
            "Write the act with the signatures so far to a file instead of handing it in.",
            "将行为及已有签名写入文件，而不提交。",
        ),
        show_default=False,
    ),
]
Deadline = Annotated[
    str,
    typer.Option(
        "--deadline",
        help=say(
            "Until when the signed message may be handed in: a duration or an instant.",
            "签名消息的提交期限：时长或时刻。",
        ),
    ),
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        min=0,
        max=60,
        help=say("Seconds to wait until the act is recorded.", "等待行为入账的秒数。"),
    ),
]


def department_number(text: str) -> int:
    """The number of a department, in its one spelling; IdError for another."""
    from ledger.ids import parse_department

    return int(parse_department(text))


Limit = Annotated[
    int, typer.Option("--limit", min=1, max=1_000_000, help=say("At most this many.", "最多显示的条数。"))
]
Asset = Annotated[
    str, typer.Argument(metavar="ASSET", help=say("Dataset, such as 7.12.", "数据集，例如 7.12。"))
]
GrantId = Annotated[
    str,
    typer.Argument(
        metavar="GRANT", help=say("Grant id: 0x and 64 hex digits.", "授权编号：0x 加 64 位十六进制。")
    ),
]
