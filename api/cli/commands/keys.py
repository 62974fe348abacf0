"""``civic keys``: encrypted key files of people and machines. These commands do not contact a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command, refuse_unused
from api.cli.failures import UsageError
from api.cli.options import PassphraseFile, ProfileOption
from api.cli.output import CommandResult, facts, table
from api.terminal.language import say
from languages.texts import listed

KINDS = ("officer", "service", "attest", "recovery", "council", "witness")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=say("Key files of officers and machines."), no_args_is_help=True)
    app.add_typer(group, name="keys")
    command(group, "new", "Create a key and write it encrypted; an existing file is never overwritten.")(new)
    command(group, "list", "The key files of the profile.")(list_)
    command(group, "show", "Show the public facts of a key file; needs no passphrase.")(show)


Name = Annotated[
    str,
    typer.Argument(metavar="KEY", help=say("Name in the profile, or a path.")),
]


def new(
    key: Name,
    kind: Annotated[str, typer.Option(help=say("One of {kinds}.", kinds=listed(KINDS)))],
    label: Annotated[str, typer.Option(help=say("A note inside the file."))] = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    from typing import cast

    from api.cli.passphrases import Passphrases
    from api.protocol.errors import KeystoreError
    from api.protocol.keystore import Kind, create_key

    if kind not in KINDS:
        raise UsageError(
            say("there is no kind of key called {kind!r}", kind=kind[:40]),
            hint=", ".join(KINDS),
        )
    path = _path(key, profile)
    if path.exists():
        raise KeystoreError(
            say("there is a key file at {path} already", path=path),
            hint=say("choose another name; key files are never overwritten"),
        )
    info = create_key(path, cast(Kind, kind), Passphrases(passphrase_file).new(path), label=label)
    document = _document(info)
    return facts(document, say("The key is drawn."), document.items())


def list_(profile: ProfileOption = None) -> CommandResult:
    from api.cli.profile import read_profile
    from api.protocol.errors import KeystoreError
    from api.protocol.keystore import key_info

    found: list[dict[str, Any]] = []
    for path in sorted(read_profile(profile).keys.glob("*.json")):
        try:
            found.append(_document(key_info(path)))
        except KeystoreError as damaged:
            found.append({"name": path.stem, "file": str(path), "error": damaged.code})
    columns = ("name", "kind", "public", "label", "demo", "error")
    return table(
        {"keys": found},
        say("Keys"),
        [
            say("name"),
            say("kind"),
            say("public"),
            say("label"),
            say("demo"),
            say("damage"),
        ],
        [[key.get(column) for column in columns] for key in found],
    )


def show(key: Name, profile: ProfileOption = None) -> CommandResult:
    from api.protocol.keystore import key_info

    document = _document(key_info(_path(key, profile)))
    return facts(document, say("Key"), document.items())


def _path(key: str, profile: Path | None) -> Path:
    from api.cli.profile import key_path, read_profile

    is_path = "/" in key or "\\" in key
    if is_path:
        refuse_unused(say("a path"), "profile")
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
