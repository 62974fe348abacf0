"""Mutants of what the second edition says of anchors, of conditions and of money."""

from __future__ import annotations

from typing import Final

from .stories import Rule, rules, story
from .switch import ANCHOR, CONDITIONS, POOLS, skip, unless

_EPOCH = story("anchor_heads", "a_new_epoch_says_whether_its_head_was_proven")
_SHOWS = story("costpools_objections", "who_may_ask_and_show")
_CLEARS = story("costpools_objections", "a_new_version_clears_no_dispute")
_PAUSED = story("conditions", "pause_and_suspension_stop_no_end_and_no_binding")
_NOTHING = story("conditions", "nothing_is_opened_bound_or_ended_that_is_not_there")

ANCHORS: Final[tuple[Rule, ...]] = (
    *rules(
        ANCHOR,
        "Anchors of a suspended operator go on",
        (
            11,
            "who suspends the operator stops the log",
            story("anchor_heads", "a_suspended_operator_goes_on_anchoring"),
            [
                (
                    "AuditAnchor.sol",
                    "        uint24 previous = 0;",
                    "        (,, bool stands) = departments.attestKey(key);\n"
                    "        if (mutant(11) && !stands) revert NotOperator(m.origin, key, operator, operator);\n"
                    "        uint24 previous = 0;",
                )
            ],
        ),
        (
            12,
            "a suspended witness counts",
            story("anchor_heads", "a_suspended_witness_counts_for_nothing"),
            [("AuditAnchor.sol", "if (!active || roles", "if ((!active && !mutant(12)) || roles")],
        ),
        (
            13,
            "one key anchors a size that no log reaches",
            story("anchor_heads", "a_log_grows_by_no_more_than_a_log_can"),
            [unless(13, "AuditAnchor.sol", "m.size - size > MOST_GROWTH")],
        ),
    ),
    *rules(
        ANCHOR,
        "says on chain whether the head it goes on from was proven",
        (
            14,
            "an epoch is called proven that was not",
            _EPOCH,
            [("AuditAnchor.sol", "            proven,\n", "            proven || mutant(14),\n")],
        ),
        (
            15,
            "a wrong proof of an epoch is taken",
            story("anchor_heads", "a_wrong_proof_of_a_new_epoch_is_refused"),
            [("AuditAnchor.sol", "if (proven && !Rfc6962", "if (proven && !mutant(15) && !Rfc6962")],
        ),
        (
            16,
            "an epoch goes on from beyond the head",
            story("anchor_heads", "what_a_new_epoch_may_not_say"),
            [unless(16, "AuditAnchor.sol", "m.lastSize > size")],
        ),
    ),
)

CLOSING: Final[tuple[Rule, ...]] = (
    *rules(
        CONDITIONS,
        "nobody can open one in another's name",
        (
            11,
            "a condition is opened again",
            story("conditions", "the_end_is_final"),
            [unless(11, "Conditions.sol", "_conditions[id].state() != CONDITION_UNKNOWN")],
        ),
    ),
    *rules(
        CONDITIONS,
        "A condition is numbered like an asset, by its keeper",
        (
            12,
            "a condition without a number",
            _NOTHING,
            [unless(12, "Conditions.sol", "uint40(id) == 0")],
        ),
        (
            13,
            "who gave a right away binds on",
            story("conditions", "who_takes_over_a_right_binds_and_who_gave_it_does_not"),
            [
                (
                    "Conditions.sol",
                    "return ledger.asset(g.asset()).holderOf(g.right());",
                    "return mutant(13) ? uint24(g.asset() >> 40) : ledger.asset(g.asset()).holderOf(g.right());",
                )
            ],
        ),
        (
            14,
            "a condition takes two of four places",
            story("conditions", "a_grant_has_four_conditions_at_most_and_each_once"),
            [unless(14, "Conditions.sol", "binding.conditionAt(i) == id")],
        ),
        (
            15,
            "a dead grant is bound",
            story("conditions", "a_grant_that_ended_is_bound_to_nothing"),
            [unless(15, "Conditions.sol", "g.state() != GRANT_ACTIVE")],
        ),
    ),
    *rules(
        CONDITIONS,
        "where it fails, the end stands",
        (
            16,
            "a revoke that fails keeps a condition open",
            story("conditions", "a_condition_ends_also_where_the_ledger_takes_no_revoke", why="late"),
            [
                (
                    "Conditions.sol",
                    "            emit RevokePassedOver(",
                    "            if (mutant(16)) revert CommitmentMissing();\n            emit RevokePassedOver(",
                )
            ],
        ),
        (
            17,
            "a revoke is not handed on",
            story("conditions", "an_end_hands_a_revoke_on_that_was_signed_before"),
            [
                (
                    "Conditions.sol",
                    "        _close(m, signature);\n        try",
                    "        _close(m, signature);\n        if (mutant(17)) return;\n        try",
                )
            ],
        ),
    ),
    *rules(
        CONDITIONS,
        "What narrows is not stopped by a pause or a suspension",
        (
            18,
            "a suspended keeper ends nothing",
            _PAUSED,
            [
                (
                    "Conditions.sol",
                    "        ConditionWord word = _requireOpen(id);",
                    "        if (mutant(18) && ledger.standing(uint24(id >> 40)) != 1) revert CommitmentMissing();\n"
                    "        ConditionWord word = _requireOpen(id);",
                )
            ],
        ),
        (
            19,
            "a suspended keeper opens",
            _PAUSED,
            [unless(19, "Conditions.sol", "standing != DEPARTMENT_ACTIVE")],
        ),
    ),
)

_SETTLES: Final = (
    "_requireNotPaused();\n        StatementStatus storage status = _requireOpen(m.statement, statement);"
)

MONEY: Final[tuple[Rule, ...]] = (
    *rules(
        POOLS,
        "Every department may ask, not only one with an account",
        (
            21,
            "a stranger may not ask",
            _SHOWS,
            [
                (
                    "CostPools.sol",
                    "        status.objected = true;",
                    "        if (mutant(21) && _accounts[_accountKey(statement.pool, department)].deposited == 0) {\n"
                    "            revert StatementEmpty();\n        }\n        status.objected = true;",
                )
            ],
        ),
        (
            22,
            "anybody in office asks and shows",
            _SHOWS,
            [unless(22, "PoolOffices.sol", "roles & (FINANCE | OVERSIGHT) == 0")],
        ),
    ),
    *rules(
        POOLS,
        "It ends only by `showLines`",
        (
            23,
            "somebody asks after the window",
            story("costpools_objections", "what_cannot_be_asked_for_or_shown"),
            [unless(23, "CostPools.sol", "block.timestamp > status.disputableUntil")],
        ),
        (
            24,
            "other lines than those committed are shown",
            story("costpools_objections", "what_cannot_be_asked_for_or_shown"),
            [
                (
                    "CostPools.sol",
                    "        _requireAllLines(m.statement, statement, lines);\n\n        uint40 until",
                    "        if (!mutant(24)) _requireAllLines(m.statement, statement, lines);\n\n        uint40 until",
                )
            ],
        ),
    ),
    *rules(
        POOLS,
        "Open disputes of lines go over to the successor, and end by withdrawal",
        (
            25,
            "another department withdraws a dispute",
            _CLEARS,
            [
                (
                    "PoolOffices.sol",
                    "if (department == raiser &&",
                    "if ((department == raiser || mutant(25)) &&",
                )
            ],
        ),
        (
            26,
            "a dispute that ended still stands",
            story("costpools_objections", "a_carried_dispute_and_new_ones_are_counted_together"),
            [skip(26, "CostPools.sol", "status.disputes -= 1;")],
        ),
    ),
    *rules(
        POOLS,
        "by the bureau of a third department",
        (
            27,
            "a bureau with a stake dismisses",
            story("costpools_settlement", "who_ends_a_dispute"),
            [
                (
                    "PoolOffices.sol",
                    "if (department == operator || department == line.debtor || department == line.creditor) {",
                    "if (!mutant(27) && (department == operator || department == line.debtor "
                    "|| department == line.creditor)) {",
                )
            ],
        ),
    ),
    *rules(
        POOLS,
        "two people, settle",
        (
            28,
            "one person with both roles settles",
            story("costpools_settlement", "one_person_with_both_roles_is_still_one"),
            [
                (
                    "PoolOffices.sol",
                    "if (one == other && !mutant(15)) revert",
                    "if (one == other && !mutant(15) && !mutant(28)) revert",
                )
            ],
        ),
    ),
    *rules(
        POOLS,
        "Withdrawing is never stopped by pause or suspension",
        (
            29,
            "who left its office objects and withdraws",
            story("costpools_settlement", "who_may_not_object_any_more"),
            [
                unless(
                    29, "PoolOffices.sol", "gone || block.timestamp < notBefore || block.timestamp > notAfter"
                )
            ],
        ),
    ),
    *rules(
        POOLS,
        "A pause stops a settlement; a hand-over of the ledger does not",
        (
            31,
            "a pause does not stop a settlement",
            story("costpools_settlement", "a_pause_stops_money"),
            [skip(31, "CostPools.sol", _SETTLES)],
        ),
    ),
)
