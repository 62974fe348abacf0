"""``civic purposes``: the purposes of the Data Privacy Vocabulary that requests and grants name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.output import CommandResult, table
from api.terminal.language import language, say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say("Purposes that requests and grants name (DPV 2.3)."),
        no_args_is_help=True,
    )
    app.add_typer(group, name="purposes")
    command(group, "list", "Every purpose, or those below one.")(list_)
    command(group, "search", "Purposes whose id or label contains a text.")(search)


def list_(
    below: Annotated[str, typer.Option(help=say("Only this purpose and what it includes."))] = "",
    legal_bases: Annotated[
        bool,
        typer.Option("--legal-bases", help=say("Legal bases instead of purposes.")),
    ] = False,
) -> CommandResult:
    from access_policy.errors import PolicyError
    from access_policy.terms.vocabulary import legal_bases as bases
    from access_policy.terms.vocabulary import purposes

    scheme = bases() if legal_bases else purposes()
    if below and below not in scheme:
        raise PolicyError(f"there is no {below[:60]!r}", matches=scheme.close_to(below))
    return _listed(sorted(scheme.descendants[below]) if below else sorted(scheme.concepts), scheme)


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help=say("What to look for."))],
) -> CommandResult:
    from access_policy.terms.vocabulary import purposes

    scheme = purposes()
    wanted = text.casefold().replace(" ", "")
    found = [
        name
        for name, concept in sorted(scheme.concepts.items())
        if any(wanted in said.casefold().replace(" ", "") for said in (name, *dict(concept.labels).values()))
    ]
    return _listed(found or list(scheme.close_to(text)), scheme)


def _listed(names: list[str], scheme: Any) -> CommandResult:
    items = [
        {
            "id": name,
            "en": scheme.label(name, "en"),
            "zh": scheme.label(name, "zh"),
            "broader": list(scheme.concepts[name].broader),
        }
        for name in names
    ]
    return table(
        {"purposes": items},
        say("Purposes"),
        [say("id"), say("label"), say("part of")],
        [[item["id"], item[language()], item["broader"]] for item in items],
    )
