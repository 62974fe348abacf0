"""Mutants of the ledger; see `mutants`."""

from __future__ import annotations

from typing import Final

from contracts_harness import CDO, DAY, HOUR, STEWARD, UNLIMITED, USE

from .scripts import REPLAY_FIRST, Mutant, Step, add, delegate, glass, grant, handed_over, revoke, step, use
from .switch import LEDGER, Patch, unless, view

_TAKES: Final = "        if (!g.takes(total, block.timestamp)) _refuse(id, g, total, _whyNot(g, total));"
_TAKES_ANYWAY: Final = """        if (!g.takes(total, block.timestamp)) {
            uint8 why = _whyNot(g, total);
            bool passed = (mutant(1) && why == WHY_OVER) || (mutant(2) && why == WHY_NOT_YET);
            passed = passed || (mutant(5) && why == WHY_EXHAUSTED) || (mutant(6) && why == WHY_NOT_HIGHER);
            if (!passed && !(mutant(27) && why == WHY_STEP)) _refuse(id, g, total, why);
        }"""
_REVOKED: Final = "        slot.word = g.ended(GRANT_REVOKED"
_SKIPPED: Final = "                emit IUsage.UseSkipped(id, total, _whyNot(g, total));"
_RECOVER: Final = "        bytes32 id = StructHash.flat(RECOVER, at, 6);"
_STEWARD: Final = "        _requireSeatIn(steward, department, STEWARD);\n        if (class"
_GIVABLE: Final = (
    "m.roles & ~GIVEN_BY_ADMIN != 0) revert RolesNotGivable(signer, m.roles);\n            if (grants"
)
_GRANTS: Final = "        bool grants = m.roles & STEWARD != 0;"
_SECOND: Final = "_signedByEither(digest, authority[1], m.department, MAY_SECOND) == signer"
_DEDUCT: Final = "        _grants[parentId].word = parent.withMaxUses(left);\n        emit IGrants.Deducted(parentId, id, left);"


def _ledger(
    number: int, invariant: int, breaks: str, machine: str, script: list[Step], *patches: Patch
) -> Mutant:
    return Mutant(number, LEDGER, breaks, patches, invariant, machine, tuple(script))


MUTANTS: Final = (
    _ledger(
        1,
        2,
        "a use is recorded long after the end of its grant",
        "Sharing",
        [grant(), step("travel", seconds=8 * DAY), use()],
        ("UseRules.sol", _TAKES, _TAKES_ANYWAY),
    ),
    _ledger(2, 2, "a grant is used before it begins", "Sharing", [grant(window=(2000, HOUR)), use()]),
    _ledger(
        3,
        2,
        "a revocation does not bring the end forward",
        "Sharing",
        [grant(window=(0, 10 * DAY)), revoke(), step("travel", seconds=8 * DAY), use()],
        (
            "GrantRules.sol",
            "g.ended(GRANT_REVOKED, block.timestamp)",
            "g.ended(GRANT_REVOKED, mutant(3) ? type(uint40).max : block.timestamp)",
        ),
    ),
    _ledger(
        4,
        2,
        "a delegated grant outlives its parent",
        "Sharing",
        [grant(), delegate(), revoke(), delegate(seed=1, grantee=1, share=1)],
        (
            "GrantRules.sol",
            "                _requireAncestor(id, g);",
            "                if (!mutant(4)) _requireAncestor(id, g);",
        ),
    ),
    _ledger(5, 3, "more uses than granted", "Sharing", [grant(uses=3), use(by=20)]),
    _ledger(6, 3, "the total goes back", "Sharing", [grant(), use(), use(by=-1)]),
    _ledger(
        7,
        4,
        "a child expires after its parent",
        "Sharing",
        [grant(), delegate(wider="expiry", share=1)],
        view("GrantActs.sol", "function _requireNarrower(GrantWord g, GrantWord parent) private pure"),
        unless(7, "GrantActs.sol", "g.expiry() > parent.expiry()"),
    ),
    _ledger(
        8,
        5,
        "a message works twice",
        "Sharing",
        [
            step("suspend_or_lift_asset", asset=0),
            step("suspend_or_lift_asset", asset=0),
            step("replay", seed=REPLAY_FIRST),
        ],
        unless(8, "Departments.sol", "_done[structHash]"),
    ),
    _ledger(
        9,
        5,
        "a rotated key signs on",
        "Offices",
        [step("rotate", seed=1, forged=""), step("old_key", seed=0)],
        (
            "Recoveries.sol",
            "_seats[from] = seat.withFlag(SEAT_ROTATED)",
            "if (!mutant(9)) _seats[from] = seat.withFlag(SEAT_ROTATED)",
        ),
    ),
    _ledger(
        10,
        6,
        "a right is given by who does not hold it",
        "Sharing",
        [step("transfer", asset=0, right=USE, to=3, claim=False)],
        (
            "AssetActs.sol",
            "if (word.holderOf(m.right) != m.from ||",
            "if ((word.holderOf(m.right) != m.from && !mutant(10)) ||",
        ),
    ),
    _ledger(
        11,
        7,
        "anybody's signature is a steward's",
        "Sharing",
        [step("tamper", seed=0, member="salt")],
        ("AssetRules.sol", _STEWARD, _STEWARD.replace("_require", "if (!mutant(11)) _require")),
    ),
    _ledger(
        12,
        8,
        "revoked terms are granted again",
        "Sharing",
        [grant(), revoke(), step("regrant", seed=0)],
        (
            "GrantRules.sol",
            "if (!before.isEmpty()) revert",
            "if (!before.isEmpty() && !(mutant(12) && before.state() == GRANT_REVOKED)) revert",
        ),
    ),
    _ledger(
        13,
        10,
        "a pause stops revocation",
        "Sharing",
        [grant(), step("pause_or_unpause", hours=1), revoke()],
        ("GrantRules.sol", _REVOKED, f"        if (mutant(13)) _requireRunning();\n{_REVOKED}"),
    ),
    _ledger(
        14,
        10,
        "a pause stops recovery",
        "Offices",
        [step("pause", by="guardian", hours=1), step("recover", seed=1, forged="")],
        ("Recoveries.sol", _RECOVER, f"        if (mutant(14)) _requireRunning();\n{_RECOVER}"),
    ),
    _ledger(
        15,
        11,
        "a chief data officer of any department co-signs",
        "Sharing",
        [step("short_quorum", asset=1, wrong=2, seed=0)],
        (
            "AssetRules.sol",
            "_requireSeatIn(cdo, department",
            "if (!mutant(15)) _requireSeatIn(cdo, department",
        ),
    ),
    _ledger(
        16,
        11,
        "one member of the council counts twice",
        "Offices",
        [add(CDO, "same councillor")],
        unless(16, "Departments.sol", "seen >> place & 1 == 1"),
    ),
    _ledger(
        17,
        12,
        "a batch reaches a department that a single grant does not",
        "Sharing",
        [step("grant_batch", seed=0, count=1, flaw="grantee")],
        unless(17, "Grants.sol", "standing != DEPARTMENT_ACTIVE"),
    ),
    _ledger(
        18,
        13,
        "the event of a use says less than was stored",
        "Sharing",
        [grant(), use()],
        (
            "UseRules.sol",
            "        _emitUsed(id, total, m.logHead);",
            "        _emitUsed(id, mutant(18) ? total - 1 : total, m.logHead);",
        ),
    ),
    _ledger(
        19,
        14,
        "break-glass for as long as one likes",
        "Offices",
        [glass(13)],
        unless(19, "Emergencies.sol", "m.until > start + BREAK_GLASS_MAX"),
    ),
    _ledger(
        20,
        14,
        "an unratified act costs nothing",
        "Offices",
        [glass(1), step("travel", seconds=72 * HOUR + 60), glass(1, asset=2)],
        unless(20, "Emergencies.sol", "overdue != 0"),
    ),
    _ledger(
        21,
        15,
        "an admin gives any role",
        "Offices",
        [add(CDO, "admin")],
        ("Offices.sol", _GIVABLE, _GIVABLE.replace("!= 0)", "!= 0 && !mutant(21))")),
    ),
    _ledger(
        22,
        16,
        "children spend what the parent keeps",
        "Sharing",
        [grant(), delegate(share=10), use()],
        ("GrantActs.sol", _DEDUCT, f"        if (!mutant(22)) {{\n{_DEDUCT}\n        }}"),
    ),
    _ledger(
        23,
        13,
        "cancelled terms are stored, and no event tells them",
        "Sharing",
        [step("cancel", seed=0, who=1)],
        (
            "GrantActs.sol",
            "_grants[id].word = packGrant(",
            "_grants[id].word = mutant(23) ? g : packGrant(",
        ),
    ),
    _ledger(
        27, 3, "a machine burns a grant in one step", "Sharing", [grant(uses=UNLIMITED), use(by=100_001)]
    ),
    _ledger(
        28,
        16,
        "a delegation counts an old total",
        "Sharing",
        [grant(), delegate(late=3, share=10)],
        (
            "GrantActs.sol",
            "if (lastUse.total != parent.uses()) {",
            "if (lastUse.total != parent.uses() && !mutant(28)) {",
        ),
    ),
    _ledger(
        29,
        12,
        "one dead item stops a batch of uses",
        "Sharing",
        [grant(uses=3), grant(uses=100), step("use_batch", seed=0, count=2, step=50)],
        ("Usage.sol", _SKIPPED, f"                if (mutant(29)) revert IGrants.NothingDone();\n{_SKIPPED}"),
    ),
    _ledger(
        30,
        11,
        "the granting department's own bureau co-signs core data",
        "Sharing",
        [step("short_quorum", asset=2, wrong=6, seed=0)],
        unless(30, "AssetRules.sol", "other == department"),
    ),
    _ledger(
        31,
        14,
        "one officer breaks glass without end",
        "Offices",
        [glass(1), glass(1, asset=2), glass(1, asset=4)],
        (
            "Emergencies.sol",
            "_openActsOf[key] == OPEN_ACTS_OF_ONE)",
            "(_openActsOf[key] == OPEN_ACTS_OF_ONE && !mutant(31)))",
        ),
    ),
    _ledger(
        32,
        14,
        "an asset is kept open by act after act",
        "Offices",
        [glass(12), step("travel", seconds=11 * HOUR), glass(12)],
        unless(32, "Emergencies.sol", "slot.due != 0"),
    ),
    _ledger(
        33,
        15,
        "a seat escapes its removal by rotation",
        "Offices",
        [step("rotate", seed=1, forged=""), step("remove", seed=1, by="council")],
        (
            "Offices.sol",
            "while (seat.flags() & SEAT_ROTATED != 0) {",
            "while (seat.flags() & SEAT_ROTATED != 0 && !mutant(33)) {",
        ),
    ),
    _ledger(
        34,
        5,
        "a council signs for another epoch",
        "Offices",
        [step("other_epoch", seed=1, epoch=2)],
        unless(34, "Departments.sol", "epoch != now_"),
    ),
    _ledger(
        35,
        14,
        "the council forgives what can still be ratified",
        "Offices",
        [glass(1), step("restore", department=2, signers=2, count=1)],
        unless(35, "Emergencies.sol", "block.timestamp <= due"),
    ),
    _ledger(
        301,
        18,
        "a freeze that stops nothing",
        "Sharing",
        [handed_over(), grant()],
        unless(301, "Departments.sol", "uint256(guard.freezeAt()) - 1 < block.timestamp"),
    ),
    _ledger(
        302,
        18,
        "a freeze stops revocation",
        "Sharing",
        [grant(), handed_over(), revoke()],
        ("GrantRules.sol", _REVOKED, f"        if (mutant(302)) _requireOpen();\n{_REVOKED}"),
    ),
    _ledger(
        303,
        18,
        "a hand-over is called off after it is done",
        "Sharing",
        [handed_over(), step("travel", seconds=2 * HOUR), handed_over()],
        unless(303, "Council.sol", "guard.isHandedOver(block.timestamp)"),
    ),
    _ledger(
        304,
        18,
        "one department alone calls a hand-over off",
        "Sharing",
        [handed_over(), handed_over(of=(2, 2))],
        unless(304, "Council.sol", "first == second"),
    ),
    _ledger(
        305,
        18,
        "a pause ends a freeze",
        "Sharing",
        [handed_over(), step("pause_or_unpause", hours=1), step("pause_or_unpause", hours=1), grant()],
        (
            "Council.sol",
            "_guard = guard.withPause(uint40(block.timestamp) - 1, guard.pauseAllowedAt());",
            """_guard = guard.withPause(uint40(block.timestamp) - 1, guard.pauseAllowedAt());
        if (mutant(305)) _guard = _guard.withHandOver(0, 0);""",
        ),
    ),
    _ledger(
        24,
        15,
        "an admin alone seats a steward",
        "Offices",
        [add(STEWARD, "admin")],
        ("Offices.sol", _GRANTS, _GRANTS.replace(";", " && !mutant(24);")),
    ),
    _ledger(
        25,
        15,
        "an admin seconds itself",
        "Offices",
        [add(STEWARD, "admin", "admin")],
        ("Offices.sol", _SECOND, f"{_SECOND} && !mutant(25)"),
    ),
    _ledger(
        26,
        15,
        "what an admin alone gives seconds it",
        "Offices",
        [add(STEWARD, "admin", "finance")],
        ("Offices.sol", "m.department, MAY_SECOND)", "m.department, mutant(26) ? 0x7f : MAY_SECOND)"),
    ),
)
