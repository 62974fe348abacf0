"""``civic keys``: encrypted key files of people and machines. Nothing here talks to a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command, refuse_unused
from api.cli.failures import UsageError
from api.cli.language import say
from api.cli.options import PassphraseFile, ProfileOption
from api.cli.output import Said, facts, table

KINDS = ("officer", "service", "attest", "recovery", "council", "witness")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say("Key files of officers and machines.", "人员与机器的密钥文件。"), no_args_is_help=True
    )
    app.add_typer(group, name="keys")
    command(
        group,
        "new",
        "Draw a key and write it encrypted; a file that exists is never overwritten.",
        "生成密钥并加密保存；绝不覆盖已有文件。",
    )(new)
    command(group, "list", "The key files of the profile.", "列出配置中的密钥文件。")(list_)
    command(
        group,
        "show",
        "What a key file says of itself; needs no passphrase.",
        "显示密钥文件的公开信息，无需口令。",
    )(show)


Name = Annotated[
    str,
    typer.Argument(metavar="KEY", help=say("Name in the profile, or a path.", "配置中的名称或文件路径。")),
]


def new(
    key: Name,
    kind: Annotated[
        str, typer.Option(help=say(f"One of {', '.join(KINDS)}.", f"种类：{'、'.join(KINDS)}。"))
    ],
    label: Annotated[str, typer.Option(help=say("A note inside the file.", "写入文件的备注。"))] = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
    from typing import cast

    from api.cli.passphrases import Passphrases
    from api.sdk.errors import KeystoreError
    from api.sdk.keystore import Kind, create_key

    if kind not in KINDS:
        raise UsageError(
            say(f"there is no kind of key called {kind[:40]!r}", f"没有名为 {kind[:40]!r} 的密钥种类"),
            hint=", ".join(KINDS),
        )
    path = _path(key, profile)
    if path.exists():
        raise KeystoreError(
            say(f"there is a key file at {path} already", f"密钥文件 {path} 已存在"),
            hint=say(
                "choose another name; key files are never overwritten", "请换一个名称；密钥文件不会被覆盖"
            ),
        )
    info = create_key(path, cast(Kind, kind), Passphrases(passphrase_file).new(path), label=label)
    document = _document(info)
    return facts(document, say("The key is drawn.", "密钥已生成。"), document.items())


def list_(profile: ProfileOption = None) -> Said:
    from api.cli.profile import read_profile
    from api.sdk.errors import KeystoreError
    from api.sdk.keystore import key_info

    found: list[dict[str, Any]] = []
    for path in sorted(read_profile(profile).keys.glob("*.json")):
        try:
            found.append(_document(key_info(path)))
        except KeystoreError as damaged:
            found.append({"name": path.stem, "file": str(path), "error": damaged.code})
    columns = ("name", "kind", "public", "label", "demo", "error")
    return table(
        {"keys": found},
        say("Keys", "密钥"),
        [
            say("name", "名称"),
            say("kind", "种类"),
            say("public", "公钥或地址"),
            say("label", "备注"),
            say("demo", "演示"),
            say("damage", "损坏"),
        ],
        [[key.get(column) for column in columns] for key in found],
    )


def show(key: Name, profile: ProfileOption = None) -> Said:
    from api.sdk.keystore import key_info

    document = _document(key_info(_path(key, profile)))
    return facts(document, say("Key", "密钥"), document.items())


def _path(key: str, profile: Path | None) -> Path:
    from api.cli.profile import key_path, read_profile

    is_path = "/" in key or "\\" in key
    if is_path:
        refuse_unused(say("a path", "文件路径"), "profile")
    return key_path(key, None if is_path else read_profile(profile))


def _document(info: Any) -> dict[str, Any]:
    return {
        "name": info.path.stem,
        "file": str(info.path),
        "kind": info.kind,
        "public": info.public,
        "label": info.label,
        "demo": info.demo,
    }
