"""``civic council``: the hand-over of the city to another contract."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.failures import UsageError
from api.cli.governing import Proposal, SigningSession, governing
from api.cli.options import Epoch
from api.terminal.language import say
from contracts.codes import FREEZE_MIN


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say("The council: hand over to another contract."),
        no_args_is_help=True,
    )
    app.add_typer(group, name="council")
    governing(
        group, "hand-over", "Announce that datasets and grants begin in another contract: the council signs."
    )(hand_over)
    governing(
        group,
        "call-off",
        "Cancel a hand-over before it is final: the council, or the oversight of two departments.",
    )(call_off)


def hand_over(
    session: SigningSession,
    successor: Annotated[
        str,
        typer.Argument(
            metavar="SUCCESSOR",
            help=say("Address of the contract that takes over."),
        ),
    ],
    freeze: Annotated[
        str,
        typer.Option(
            help=say(
                "Nothing new begins here from then on: a duration or an instant, after the admission delay."
            )
        ),
    ],
    at: Annotated[
        str,
        typer.Option(
            help=say(
                "The successor acts from then on, and nobody calls it off: an hour after the freeze at least."
            )
        ),
    ],
    epoch: Epoch = None,
) -> Proposal:
    from api.cli.times import instant
    from api.sdk.drafts import draft_hand_over

    times = [int(instant(text).timestamp()) for text in (freeze, at)]
    if times[1] < times[0] + FREEZE_MIN:
        raise UsageError(say("the hand-over is an hour after the freeze at the soonest"))
    return Proposal(draft_hand_over(successor, *times, epoch=session.epoch(epoch), deadline=session.deadline))


def call_off(
    session: SigningSession,
    hand_over_id: Annotated[
        str,
        typer.Argument(
            metavar="HAND_OVER",
            help=say("Its id, as civic status tells it."),
        ),
    ],
    epoch: Epoch = None,
) -> Proposal:
    from api.sdk.drafts import draft_hand_over_call_off

    return Proposal(
        draft_hand_over_call_off(hand_over_id, epoch=session.epoch(epoch), deadline=session.deadline)
    )
