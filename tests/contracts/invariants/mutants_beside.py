"""Mutants of the contracts next to the ledger; see `mutants`."""

from __future__ import annotations

from typing import Final

from contracts_harness import HOUR

from .scripts import SETTLE, Mutant, Step, bound, closed, commit, opened, propose, step
from .switch import ANCHOR, CONDITIONS, POOLS, SLOT, Patch, unless, view

_NEXT: Final = "        _requireNext(m, word, head.root, proof);"
_ALL_LINES: Final = "Line[] calldata lines) private pure"
_NETS: Final = "Line[] calldata lines, uint256 most) internal pure"
_OBJECT: Final = step("object", seed=0, who=2, role="finance")
_DISPUTE: Final = step("dispute", seed=0, who=2, invented=False)
_SPLIT_HEAD: Final = "        external\n        pure\n        returns (uint128[] memory shares)"


def _anchor(number: int, invariant: int, breaks: str, script: list[Step], *patches: Patch) -> Mutant:
    return Mutant(number, ANCHOR, breaks, patches, invariant, "Anchor", tuple(script))


def _pools(number: int, invariant: int, breaks: str, script: list[Step], *patches: Patch) -> Mutant:
    return Mutant(number, POOLS, breaks, patches, invariant, "Pools", tuple(script))


def _conditions(number: int, invariant: int, breaks: str, script: list[Step], *patches: Patch) -> Mutant:
    return Mutant(number, CONDITIONS, breaks, patches, invariant, "Conditions", tuple(script))


MUTANTS: Final = (
    _anchor(
        1,
        9,
        "a fork is anchored",
        [propose(more=3), propose(kept="none")],
        (
            "AuditAnchor.sol",
            "if (!Rfc6962.isConsistent(size",
            "if (!(mutant(2) && m.size < size) && !mutant(1) && !Rfc6962.isConsistent(size",
        ),
    ),
    _anchor(
        2,
        9,
        "a smaller head is anchored",
        [propose(), propose(kept="none", more=2)],
        unless(2, "AuditAnchor.sol", "m.size < size"),
    ),
    _anchor(
        3,
        10,
        "a pause stops the anchor",
        [step("pause"), propose()],
        (
            "AuditAnchor.sol",
            _NEXT,
            f"        if (mutant(3) && block.timestamp <= departments.pausedUntil()) revert LogUnknown(0);\n{_NEXT}",
        ),
    ),
    _anchor(
        4,
        11,
        "one witness counts twice",
        [propose(seed=1, witnesses=(2, 2))],
        unless(4, "AuditAnchor.sol", "department <= previous"),
    ),
    _anchor(
        5,
        7,
        "any attest key signs heads",
        [propose(key="2 attest")],
        (
            "AuditAnchor.sol",
            "seat.serves(block.timestamp, operator, ATTEST)",
            "seat.serves(block.timestamp, mutant(5) ? seat.department() : operator, ATTEST)",
        ),
    ),
    _anchor(
        6,
        9,
        "the new root is never looked at",
        [propose(more=3), propose(spoilt="root")],
        (
            "lib/Rfc6962.sol",
            "eq(mload(add(new_, 33)), newRoot)",
            f"or(eq(mload(add(new_, 33)), newRoot), eq(sload({SLOT:#x}), 6))",
        ),
    ),
    _anchor(
        7,
        9,
        "the old root is never looked at",
        [propose(more=3), propose(kept="none")],
        (
            "lib/Rfc6962.sol",
            "eq(mload(add(old, 33)), oldRoot)",
            f"or(eq(mload(add(old, 33)), oldRoot), eq(sload({SLOT:#x}), 7))",
        ),
    ),
    _pools(
        1,
        17,
        "a statement settles to other debits than it says",
        [commit("debits"), *SETTLE],
        unless(1, "CostPools.sol", "debits != statement.debits"),
    ),
    _pools(
        2,
        5,
        "a statement settles twice",
        [commit(), *SETTLE, SETTLE[1]],
        (
            "CostPools.sol",
            "        status.state = StatementState.Final;",
            "        if (!mutant(2)) status.state = StatementState.Final;",
        ),
    ),
    _pools(
        3,
        13,
        "a settled balance is told wrong",
        [commit(), *SETTLE],
        (
            "CostPools.sol",
            "int128(amount), uint80(uint256(settled)));",
            "int128(amount), uint80(uint256(settled)) + (mutant(3) ? 1 : 0));",
        ),
    ),
    _pools(
        4,
        1,
        "the last unit of a cost is lost",
        [step("split", cost=10, weights=[1, 1, 1])],
        (
            "lib/LargestRemainder.sol",
            "for (; left != 0; --left)",
            "for (; left > (mutant(4) ? 1 : 0); --left)",
        ),
        view(
            "lib/LargestRemainder.sol",
            "        internal\n        pure\n        returns (uint128[] memory shares)",
        ),
        view("CostPools.sol", _SPLIT_HEAD),
        view("interfaces/ICostPools.sol", _SPLIT_HEAD),
    ),
    _pools(
        5,
        1,
        "one member takes every unit that is left",
        [step("split", cost=5, weights=[1, 1, 1])],
        (
            "lib/LargestRemainder.sol",
            "            remainders[first] = 0;",
            "            if (!mutant(5)) remainders[first] = 0;",
        ),
    ),
    _pools(
        6,
        17,
        "other lines than those committed settle",
        [
            step("commit", owed=[(1, 1, 0), (2, 1, 100)], flaw="", role="finance"),
            SETTLE[0],
            step("finalise", seed=0, given="other"),
        ],
        unless(6, "CostPools.sol", "root != statement.lineRoot"),
        view("CostPools.sol", _ALL_LINES),
    ),
    _pools(
        7,
        17,
        "a statement settles for some of its lines",
        [
            step("commit", owed=[(2, 1, 100), (2, 1, 0)], flaw="", role="finance"),
            step("travel", seconds=2 * HOUR),
            step("finalise", seed=0, given="fewer"),
        ],
        (
            "CostPools.sol",
            "if (lines.length != statement.lines)",
            "if (lines.length != statement.lines && !mutant(7))",
        ),
        (
            "CostPools.sol",
            "        bytes32 root = Lines.root(lines);",
            "        bytes32 root = mutant(7) ? statement.lineRoot : Lines.root(lines);",
        ),
    ),
    _pools(
        8,
        17,
        "the credit of a line is lost",
        [commit(), *SETTLE],
        (
            "lib/Lines.sol",
            "            found += _add(table, line.creditor, amount);",
            "            found += _add(table, line.creditor, mutant(8) ? int256(0) : amount);",
        ),
        view("lib/Lines.sol", _NETS),
    ),
    _pools(
        9,
        17,
        "what somebody asks to see settles unseen",
        [commit(), _OBJECT, *SETTLE],
        unless(9, "CostPools.sol", "status.objected && !status.shown"),
    ),
    _pools(
        10,
        17,
        "a new version answers an objection",
        [commit(), _OBJECT, commit(), *SETTLE],
        (
            "CostPools.sol",
            "bool objected = open && before.objected;",
            "bool objected = open && before.objected && !mutant(10);",
        ),
    ),
    _pools(
        11,
        17,
        "a new version clears the disputes",
        [commit(), _DISPUTE, commit(), *SETTLE],
        (
            "CostPools.sol",
            "uint32 disputes = open ? before.disputes : 0;",
            "uint32 disputes = open && !mutant(11) ? before.disputes : 0;",
        ),
    ),
    _pools(
        12,
        17,
        "lines shown at the end leave no time to dispute them",
        [
            commit(),
            _OBJECT,
            step("travel", seconds=2 * HOUR),
            step("show", seed=0, who=1, given="all"),
            SETTLE[1],
        ],
        (
            "CostPools.sol",
            "        status.disputableUntil = until;",
            "        if (!mutant(12)) status.disputableUntil = until;",
        ),
    ),
    _pools(
        13,
        17,
        "a dismissal leaves no time to withdraw",
        [
            commit(),
            _DISPUTE,
            step("travel", seconds=2 * HOUR),
            step("close", seed=0, who=3, role="bureau"),
            SETTLE[1],
        ],
        unless(13, "CostPools.sol", "block.timestamp <= status.waitsUntil"),
    ),
    _pools(
        14,
        17,
        "a statement settles years later",
        [commit(), step("travel", seconds=91 * 24 * HOUR), SETTLE[1]],
        unless(14, "CostPools.sol", "block.timestamp > until"),
    ),
    _pools(
        15,
        11,
        "a finance officer settles alone",
        [commit(), SETTLE[0], step("finalise", seed=0, given="all", second="finance")],
        (
            "PoolOffices.sol",
            "        _requireRole(other, OVERSIGHT, department);\n        if (one == other)",
            "        if (!mutant(15)) _requireRole(other, OVERSIGHT, department);\n        if (one == other && !mutant(15))",
        ),
    ),
    _pools(
        16,
        17,
        "somebody who was never admitted is credited",
        [step("commit", owed=[(2, 9, 100)], flaw="", role="finance"), *SETTLE],
        unless(16, "CostPools.sol", "standings.standing(department) == 0"),
    ),
    _pools(
        17,
        10,
        "a pause keeps money in the pool",
        [step("pause"), step("budget", department=2, more=0, out=100)],
        ("CostPools.sol", "if (added == 0) {", "if (added == 0 && !mutant(17)) {"),
    ),
    _pools(
        18,
        17,
        "a suspension keeps a department's money in the pool",
        [step("suspend", department=2), step("budget", department=2, more=0, out=100)],
        (
            "PoolOffices.sol",
            "        if (roles & FINANCE == 0) revert",
            "        if (mutant(18)) departments.requireOfficer(signer, FINANCE);\n        if (roles & FINANCE == 0) revert",
        ),
    ),
    _pools(
        19,
        17,
        "a deposit makes a balance too large to be credited",
        [step("budget", department=2, more=2**79, out=0)],
        unless(19, "CostPools.sol", "m.deposited > MOST_DEPOSITED"),
    ),
    _conditions(
        1,
        8,
        "an ended condition ends again",
        [opened(), closed(), closed()],
        unless(1, "Conditions.sol", "word.state() != CONDITION_OPEN"),
    ),
    _conditions(
        2,
        15,
        "any department's steward ends a condition",
        [opened(), closed(by=2)],
        (
            "Conditions.sol",
            "if (seat.department() != department) {",
            "if (seat.department() != department && !mutant(2)) {",
        ),
    ),
    _conditions(
        3,
        15,
        "who left its office ends a condition",
        [opened(), step("leave", department=3), closed()],
        unless(3, "Conditions.sol", "!seat.inOffice(block.timestamp)"),
    ),
    _conditions(
        4,
        13,
        "a binding is told and not stored",
        [opened(), bound()],
        (
            "Conditions.sol",
            "_bindings[grant] = binding.bound(place, id);",
            "if (!mutant(4)) _bindings[grant] = binding.bound(place, id);",
        ),
    ),
    _conditions(
        5,
        13,
        "a fifth condition is bound",
        [
            *(opened(n) for n in (1, 2, 3)),
            *(step("open", keeper=2, number=n, by=2, role="attest") for n in (1, 2)),
            *(bound(n) for n in range(5)),
        ],
        unless(5, "Conditions.sol", "place == CONDITIONS_MAX"),
    ),
    _conditions(
        6,
        15,
        "any role of the department binds",
        [opened(), bound(role="admin")],
        unless(6, "Conditions.sol", "seat.roles() & either == 0"),
    ),
    _conditions(
        7,
        8,
        "an end is told and not stored",
        [opened(), bound(), closed()],
        (
            "Conditions.sol",
            "_conditions[id] = word.ended(",
            "if (!mutant(7)) _conditions[id] = word.ended(",
        ),
    ),
)
