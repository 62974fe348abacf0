"""Mutants of what the second edition says of the hand-over to a successor."""

from __future__ import annotations

from typing import Final

from contracts_harness import DAY, HOUR

from .stories import Rule, rules, story
from .switch import LEDGER, unless

_FOREIGN: Final = "m.successor.code.length == 0 || ISuccessor(m.successor).predecessor() != address(this)"
_ONCE: Final = "_once(structHash);\n        _checkCouncil(_digest(structHash), m.epoch, signatures);"
_COUNCIL_ENDS: Final = "if (guard.handOverAt() != 0 && !guard.isHandedOver"

HAND_OVER: Final[tuple[Rule, ...]] = rules(
    LEDGER,
    "A hand-over is announced, then freezes, then is final",
    (
        306,
        "a hand-over outlives the council that announced it",
        story("sharing_handover", "it_ends_with_the_council_that_announced_it", frozen_already=True),
        [("Council.sol", _COUNCIL_ENDS, _COUNCIL_ENDS.replace("if (", "if (!mutant(306) && "))],
    ),
    (
        307,
        "any contract is a successor",
        story("sharing_handover", "a_successor_names_its_predecessor"),
        [("Council.sol", f"if ({_FOREIGN})", f"if (!mutant(307) && ({_FOREIGN}))")],
    ),
    (
        308,
        "a hand-over takes another one's place",
        story("sharing_handover", "one_hand_over_at_a_time_and_one_for_ever"),
        [unless(308, "Council.sol", "guard.handOverAt() != 0")],
    ),
    (
        309,
        "the freeze comes before the admission delay",
        story(
            "sharing_handover",
            "the_freeze_waits_for_the_admission_delay_and_the_hand_over_for_an_hour",
            freeze=DAY - 60,
            then=HOUR,
            delay=DAY,
        ),
        [("Council.sol", "m.freezeAt < soonest ||", "(m.freezeAt < soonest && !mutant(309)) ||")],
    ),
    (
        310,
        "what was called off is announced again by the same signatures",
        story("sharing_handover", "what_was_called_off_is_not_announced_again_by_the_same_signatures"),
        [("Council.sol", _ONCE, _ONCE.replace("_once", "if (!mutant(310)) _once", 1))],
    ),
)
