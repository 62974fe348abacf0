"""``civic upgrade``: migrate the database of a home to the tables of this version."""

from __future__ import annotations

from pathlib import Path

import typer

from api.cli.command import command
from api.cli.options import Home
from api.cli.output import CommandResult, facts
from api.terminal.language import language, say
from languages.texts import in_language
from ledger.counts import counted


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(
        app,
        "upgrade",
        "Bring the database of a home to the tables of this version. Service stopped; take a backup first.",
    )(upgrade)


def upgrade(home: Home = Path("city")) -> CommandResult:
    from api.operator.upgrade import upgrade_home
    from api.runtime.settings import Settings

    done = upgrade_home(Settings.given(home=home))
    document = {
        "home": str(home),
        "database": done.database,
        "before": done.before,
        "after": done.after,
        "migrations": [
            {"revision": one.revision, "en": one.what, "zh": one.what.zh} for one in done.migrations
        ],
    }
    count = len(done.migrations)
    title = (
        say("{migrations} run.", migrations=counted(count, "migration was", "migrations were"))
        if count
        else say("The database is of this version already.")
    )
    lines = [(name, document[name]) for name in ("home", "database", "before", "after")]
    return facts(
        document,
        title,
        [*lines, *((one.revision, in_language(one.what, language())) for one in done.migrations)],
    )
