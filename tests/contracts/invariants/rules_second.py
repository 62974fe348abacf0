"""Mutants of what the second attack found (docs/decisions/0011)."""

from __future__ import annotations

from typing import Final

from .stories import Rule, rules, story
from .switch import LEDGER, unless

_ROTATED = story("second_attack", "a_rotation_gives_no_fresh_break_glass_acts")
_RATIFIED = story("second_attack", "a_ratified_act_is_not_restored_in_the_place_of_one_that_waits")

SECOND: Final[tuple[Rule, ...]] = (
    *rules(
        LEDGER,
        "An EMERGENCY seat that passes on keeps its open acts",
        (
            401,
            "a rotated key breaks glass anew",
            _ROTATED,
            [
                (
                    "Emergencies.sol",
                    "if (first != address(0)) key",
                    "if (first != address(0) && !mutant(401)) key",
                )
            ],
        ),
        (
            402,
            "a key that was rotated twice breaks glass anew",
            _ROTATED,
            [
                (
                    "Recoveries.sol",
                    "_firstKeys[to] = first == address(0) ? from : first;",
                    "_firstKeys[to] = first == address(0) || mutant(402) ? from : first;",
                )
            ],
        ),
    ),
    *rules(
        LEDGER,
        "signed for this delegation",
        (
            403,
            "any total of the parent serves a delegation",
            story("second_attack", "a_recorded_total_serves_no_delegation"),
            [unless(403, "GrantActs.sol", "lastUse.logHead != _idOf(t)")],
        ),
    ),
    *rules(
        LEDGER,
        "So does the recovery key",
        (
            404,
            "who removes the watchmen is vetoed by nobody",
            story("second_attack", "who_removes_the_watchmen_is_still_vetoed", what="seat"),
            [],
        ),
    ),
    *rules(
        LEDGER,
        "none that was ratified",
        (
            405,
            "a ratified act is forgiven in the place of another",
            _RATIFIED,
            [
                (
                    "Emergencies.sol",
                    "if (g.status() & GRANT_FLAG_RATIFIED != 0) revert IGrants.AlreadyRatified(ids[i]);",
                    "if (g.status() & GRANT_FLAG_RATIFIED != 0 && !mutant(405)) "
                    "revert IGrants.AlreadyRatified(ids[i]);",
                )
            ],
        ),
    ),
    *rules(
        LEDGER,
        "A member with dirty high bits is refused",
        (
            406,
            "a salt is hashed and not read",
            story("second_attack", "no_member_is_wider_than_its_type", kind="CorrectUses"),
            [
                (
                    "GrantActs.sol",
                    "_once(structHash, m.salt);",
                    "if (mutant(406)) _once(structHash); else _once(structHash, m.salt);",
                )
            ],
        ),
        (
            407,
            "an epoch is read from the council alone",
            story("second_attack", "no_member_is_wider_than_its_type", kind="SuspendDepartment"),
            [("Admissions.sol", "_requireClean(m.epoch);", "if (!mutant(407)) _requireClean(m.epoch);")],
        ),
    ),
)
"""Number 404 is in the text of 211 to 214 (rules_offices)."""
