"""``civic chain restored | rebuild``: repair the service's copy of the chain's events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.lost_acts import lost_act_words
from api.cli.options import Home
from api.cli.output import CommandResult, facts, note, sentence
from api.terminal.language import say
from ledger.counts import counted


def register_keeping_of_chain(group: typer.Typer) -> None:
    """Add restored and rebuild to ``civic chain``."""
    command(
        group,
        "rebuild",
        "Compute the service's copy of the chain's state again from its events, as fsck.projection asks for. Service stopped.",
    )(rebuild)
    command(
        group,
        "restored",
        "Continue with a chain that was restored to an older block; without --block only show what would be reverted. Service stopped.",
    )(restored)


def restored(
    block: Annotated[
        str | None,
        typer.Option(
            "--block",
            metavar="HASH",
            help=say(
                "The hash of the block with which the restored chain ends, as who runs the chain states it."
            ),
            show_default=False,
        ),
    ] = None,
    home: Home = Path("city"),
) -> CommandResult:
    from api.operator.restored_chain import restored_chain
    from api.runtime.settings import Settings

    made = restored_chain(Settings.given(home=home), block)
    taken_back = sum(made["events"].values())
    if not made["done"]:
        note(
            say(
                "Nothing was changed. A node that is only behind looks the same: wait for it, or ask who runs the chain. If it was restored, state its newest block: civic chain restored --block {block_hash}",
                block_hash=made["block_hash"],
            )
        )
        return facts(made, say("What would be taken back"), _shown(made))
    for one in made["held"]:
        note(lost_act_words(one))
    words = say(
        "{events} taken back, each by an entry of the log; what acts took away in them stays away. {acts} sent again when the service runs.",
        events=counted(taken_back, "event is", "events are"),
        acts=counted(made["acts"], "act is", "acts are"),
    )
    return facts(made, words, _shown(made))


def _shown(made: dict[str, Any]) -> list[tuple[str, object]]:
    names = ("block", "block_hash", "block_time", "common_block", "read", "read_hash", "events")
    return [(name, made[name]) for name in names]


def rebuild(home: Home = Path("city")) -> CommandResult:
    from api.operator.wiring import open_gateway
    from api.runtime.settings import Settings
    from ledger.chain.edition import must_be_second
    from ledger.projection.rebuild import rebuild as compute

    with open_gateway(Settings.given(home=home), chores=False) as gateway:
        must_be_second(gateway.deployment)
        made = compute(gateway.chain, gateway.database.engine, gateway.deployment)
    return sentence(
        {"block": made.block_number, "events": made.events, "seconds": round(made.seconds, 3)},
        say(
            "{events} up to block {block_number} read; the log has no new entry for them.",
            events=counted(made.events, "event"),
            block_number=made.block_number,
        ),
    )
