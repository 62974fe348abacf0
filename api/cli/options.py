"""Options that several commands share, so that each has one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.terminal.language import say

Home = Annotated[Path, typer.Option("--home", envvar="CIVIC_HOME", help=say("The installation's directory."))]
Host = Annotated[
    str | None,
    typer.Option(
        "--host",
        help=say("Address to listen on (or CIVIC_HOST; default 127.0.0.1)."),
        show_default=False,
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        help=say("Port (or CIVIC_PORT; default: one per command); 0 takes a free one."),
        show_default=False,
    ),
]
Production = Annotated[
    bool, typer.Option("--production", help=say("Refuse demo keys (or CIVIC_PRODUCTION)."))
]
ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        help=say("Profile directory (or CIVIC_PROFILE)."),
        show_default=False,
    ),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help=say("File with the passphrase of the keys."),
        show_default=False,
    ),
]
ServiceKeyOption = Annotated[
    str,
    typer.Option(
        "--service-key",
        help=say("Key file that signs the call: a name in the profile, or a path."),
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help=say("Do not ask before signing."))]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        help=say("Officer's key that signs: a name in the profile, or a path (repeat for a quorum)."),
        show_default=False,
    ),
]
Save = Annotated[
    Path | None,
    typer.Option(
        "--save",
        help=say("Write the act with the signatures so far to a file instead of handing it in."),
        show_default=False,
    ),
]
Deadline = Annotated[
    str,
    typer.Option(
        "--deadline",
        help=say("Until when the signed message may be handed in: a duration or an instant."),
    ),
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        min=0,
        max=60,
        help=say("Seconds to wait until the act is recorded."),
    ),
]


def department_number(text: str) -> int:
    """A department's number in its canonical spelling; IdError otherwise."""
    from ledger.ids import parse_department

    return int(parse_department(text))


Limit = Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help=say("At most this many."))]
Asset = Annotated[str, typer.Argument(metavar="ASSET", help=say("Dataset, such as 7.12."))]
GrantId = Annotated[
    str,
    typer.Argument(metavar="GRANT", help=say("Grant id: 0x and 64 hex digits.")),
]
Epoch = Annotated[
    int | None,
    typer.Option(
        "--epoch",
        min=1,
        help=say("Epoch of the council; the service is asked by default."),
        show_default=False,
    ),
]
Stopper = Annotated[
    str,
    typer.Option(
        "--by",
        help=say("holder | bureau: who stops a dataset; each lifts only what it stopped."),
    ),
]
Reason = Annotated[str, typer.Option(help=say("Why, in words; it goes on record."))]

PinnedVersion = Annotated[
    int | None,
    typer.Option(
        "--version",
        min=1,
        max=(1 << 32) - 1,
        help=say(
            "Pin a version of the dataset: it is read also when there is a newer one; the current one by default."
        ),
        show_default=False,
    ),
]

NamedVersion = Annotated[
    int | None,
    typer.Option(
        "--version",
        min=1,
        max=(1 << 32) - 1,
        help=say("This version and no other; by default the current one, or the one that a grant pins."),
        show_default=False,
    ),
]
