"""Cost pools: money is conserved, and a statement is settled completely or not at all, after all members had
time to object."""

from __future__ import annotations

from typing import Any

import pytest
from contracts_harness import DAY, FINANCE, FOREVER, OVERSIGHT, ZERO, City, Key, struct_hash
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from .refusals import refused
from .settling import (
    OPERATOR,
    POOL,
    SHORTEST_WINDOW,
    Settling,
    line,
    line_leaf,
    nets_of,
    proof_of,
    root_of,
)

LINES = [line(2, 1, 300_00), line(3, 1, 200_00, keccak(b"cleaning")), line(1, 3, 50_00, keccak(b"serving"))]
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""The order of secp256k1 (SEC 2, section 2.4.1)."""


@pytest.fixture
def settling(city: City) -> Settling:
    """Departments 1 to 3 hold 1,000 yuan each."""
    settling = Settling(city)
    for department in (1, 2, 3):
        settling.set_budget(settling.budget(department, 1000_00))
    return settling


@pytest.fixture
def committed(settling: Settling) -> tuple[Settling, dict[str, Any]]:
    """A statement of LINES is open to dispute."""
    statement = settling.statement(LINES)
    settling.commit(statement)
    return settling, statement


# ---- budgets ---------------------------------------------------------------------------------------------------


def test_a_budget_is_a_total_so_a_replay_changes_nothing(settling: Settling) -> None:
    first = settling.budget(2, 1000_00)
    with refused("StaleBudget", POOL, 2, 1000_00, 0):
        settling.set_budget(first)
    event = settling.set_budget(settling.budget(2, 1500_00, 200_00)).only("Budgeted")
    assert (event["balance"], event["deposited"], event["withdrawn"]) == (1300_00, 1500_00, 200_00)
    for older in (settling.budget(2, 1400_00, 200_00), settling.budget(2, 1500_00, 100_00), first):
        with refused("StaleBudget", POOL, 2, 1500_00, 200_00):
            settling.set_budget(older)


def test_no_more_is_withdrawn_than_there_is(settling: Settling) -> None:
    with refused("BudgetExceeded", POOL, 2, 1000_00, 1000_01):
        settling.set_budget(settling.budget(2, 1000_00, 1000_01))
    settling.set_budget(settling.budget(2, 1000_00, 1000_00))
    assert settling.balance(2) == 0


@pytest.mark.parametrize("role", ["admin", "steward", "cdo", "oversight", "emergency", "bureau", "attest"])
def test_only_finance_of_the_department_itself_sets_its_budget(settling: Settling, role: str) -> None:
    departments = settling.city.departments
    message = settling.budget(2, 2000_00)
    with refused("RoleMissing"):
        settling.set_budget(message, departments[2].keys[role])
    with refused("WrongDepartment", departments[3].finance.address, 3, 2):
        settling.set_budget(message, departments[3].finance)
    with refused("NotInOffice", Key("nobody").address):
        settling.set_budget(message, Key("nobody"))


@pytest.mark.parametrize(
    ("flaw", "error"),
    [
        ("short", "SignatureLength"),
        ("long", "SignatureLength"),
        ("high s", "SignatureHighS"),
        ("v", "SignatureInvalid"),
    ],
)
def test_malformed_signatures_are_refused(settling: Settling, flaw: str, error: str) -> None:
    message = settling.budget(2, 2000_00)
    signature = settling.sign("SetBudget", message, settling.city.departments[2].finance)
    high = (ORDER - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    spoilt = {
        "short": signature[:64],
        "long": signature + b"\0",
        "high s": signature[:32] + high + bytes([55 - signature[64]]),
        "v": signature[:64] + b"\1",
    }
    with refused(error):
        settling.send("setBudget", message, spoilt[flaw])


@pytest.mark.parametrize("member", ["pool", "department", "deposited", "withdrawn", "voucher", "deadline"])
def test_the_relayer_changes_nothing_of_a_budget(settling: Settling, member: str) -> None:
    message = settling.budget(2, 2000_00, 10)
    signature = settling.sign("SetBudget", message, settling.city.departments[2].finance)
    altered = {"pool": POOL + 1, "department": 3, "voucher": ZERO, "deadline": FOREVER - 1}
    value = altered.get(member, message[member] + 1 if member in ("deposited", "withdrawn") else None)
    with refused("NotInOffice"):
        settling.send("setBudget", {**message, member: value}, signature)


def test_a_pause_stops_money(committed: tuple[Settling, dict[str, Any]]) -> None:
    settling, statement = committed
    settling.wait()
    city = settling.city
    message = city.message("Pause", duration=DAY)
    city.send("pause", message, *city.sign("Pause", message, city.guardian))
    for act in (
        lambda: settling.set_budget(settling.budget(2, 2000_00)),
        lambda: settling.commit(settling.statement(LINES, period=5)),
        lambda: settling.finalise(statement, LINES),
    ):
        with refused("PausedUntil"):
            act()


# ---- settlement ------------------------------------------------------------------------------------------------


def test_a_statement_settles_everybody_at_once(committed: tuple[Settling, dict[str, Any]]) -> None:
    settling, statement = committed
    identity = struct_hash("CommitStatement", statement)
    settling.wait()
    receipt = settling.finalise(statement, LINES)
    assert [settling.balance(d) for d in (1, 2, 3)] == [1000_00 + 450_00, 1000_00 - 300_00, 1000_00 - 150_00]
    settled = [
        (e.args["department"], e.args["amount"], e.args["balance"])
        for e in receipt.events
        if e.name == "Settled"
    ]
    assert settled == [(1, 450_00, 1450_00), (2, -300_00, 700_00), (3, -150_00, 850_00)]
    assert receipt.only("StatementFinal")["id"] == identity
    totals, accounts = settling.call("accounts", POOL, [1, 2, 3])
    assert sum(account["balance"] for account in accounts) == totals["deposited"] - totals["withdrawn"]
    with refused("StatementNotOpen", identity, 3):
        settling.finalise(statement, LINES)


def test_nothing_is_final_before_the_window_has_passed(committed: tuple[Settling, dict[str, Any]]) -> None:
    settling, statement = committed
    settling.city.chain.travel(SHORTEST_WINDOW - 60)
    with refused("DisputeWindowOpen"):
        settling.finalise(statement, LINES)


def test_lines_must_be_all_and_as_committed(committed: tuple[Settling, dict[str, Any]]) -> None:
    """Also in the committed order, because another list has another root, even with the same nets."""
    settling, statement = committed
    settling.wait()
    identity = struct_hash("CommitStatement", statement)
    for lines, error, values in (
        (LINES[:2], "LinesDiffer", (identity, 2, 3)),
        ([], "LinesDiffer", (identity, 0, 3)),
        ([*LINES, line(4, 4, 0)], "LinesDiffer", (identity, 4, 3)),
        ([LINES[1], LINES[2], LINES[0]], "LineRootDiffers", None),
        ([LINES[0], LINES[0], LINES[2]], "LineRootDiffers", None),
        ([line(2, 1, 299_99), *LINES[1:]], "LineRootDiffers", None),
        ([line(3, 1, 300_00), *LINES[1:]], "LineRootDiffers", None),
    ):
        with refused(error, *(values or ())):
            settling.finalise(statement, lines)
    assert [settling.balance(d) for d in (1, 2, 3)] == [1000_00] * 3


@pytest.mark.parametrize("count", [*range(1, 18), 100])
def test_any_number_of_lines_settles_to_their_sums(settling: Settling, count: int) -> None:
    lines = [line(1 + i % 3, 1 + (i * i + 1) % 3, i, keccak(b"%d" % i)) for i in range(count)]
    statement = settling.statement(lines)
    settling.commit(statement)
    settling.wait()
    settling.finalise(statement, lines)
    nets = {net["department"]: net["amount"] for net in nets_of(lines)}
    assert [settling.balance(d) for d in (1, 2, 3)] == [1000_00 + nets.get(d, 0) for d in (1, 2, 3)]


@pytest.mark.parametrize("strangers", [(65, 129, 193), (64, 128, 192), (4, 5, 2**24 - 1)])
def test_members_with_colliding_numbers_settle(settling: Settling, strangers: tuple[int, ...]) -> None:
    """Four members have eight places: 65, 129 and 193 want the one of 1, 64, 128 and 192 the first; the last
    wants the last place and continues at the first."""
    for number in strangers:
        settling.city.admit(number, ("admin", "finance"))
    lines = [line(1, to, 7 * i + 1, keccak(b"%d" % to)) for i, to in enumerate(strangers)]
    statement = settling.statement([*lines, *lines])
    settling.commit(statement)
    settling.wait()
    settling.finalise(statement, [*lines, *lines])
    assert [settling.balance(d) for d in strangers] == [2, 16, 30]
    assert settling.balance(1) == 1000_00 - 48


def test_committed_debits_and_members_must_be_those_of_the_lines(settling: Settling) -> None:
    for period, (members, error, values) in enumerate(
        (
            ({"debits": 1}, "DebitsDiffer", (450_00, 1)),
            ({"members": 2}, "MembersDiffer", (3, 2)),
            ({"members": 1}, "MembersDiffer", (2, 1)),
            ({"members": 4}, "MembersDiffer", (3, 4)),
        )
    ):
        statement = settling.statement(LINES, period=period, **members)
        settling.commit(statement)
        settling.wait()
        with refused(error, struct_hash("CommitStatement", statement), *values):
            settling.finalise(statement, LINES)


def test_a_root_with_more_lines_below_it_does_not_settle_for_some(settling: Settling) -> None:
    """Two halves under one root: with proofs for either half, the submitter could choose who pays."""
    whole = [*LINES, line(1, 2, 5)]
    statement = settling.statement(LINES[:2], lineRoot=root_of([line_leaf(one) for one in whole]))
    settling.commit(statement)
    settling.wait()
    with refused("LineRootDiffers"):
        settling.finalise(statement, LINES[:2])


def test_only_an_admitted_department_is_credited(settling: Settling) -> None:
    lines = [line(2, 99, 1)]
    statement = settling.statement(lines)
    settling.commit(statement)
    settling.wait()
    with refused("DepartmentNotActive", 99, 0):
        settling.finalise(statement, lines)
    for number in (0, 2**24 - 1):
        lines = [line(2, number, 1)]
        statement = settling.statement(lines, period=number)
        settling.commit(statement)
        settling.wait()
        with refused("DepartmentNotActive", number, 0):
            settling.finalise(statement, lines)


def test_a_member_without_budget_stops_the_whole_settlement(settling: Settling) -> None:
    lines = [line(2, 1, 1000_01), line(3, 1, 5)]
    statement = settling.statement(lines)
    settling.commit(statement)
    settling.wait()
    with refused("BudgetExceeded", POOL, 2, 1000_00, 1000_01):
        settling.finalise(statement, lines)
    assert settling.balance(1) == 1000_00
    settling.set_budget(settling.budget(2, 1000_01))
    settling.finalise(statement, lines)
    assert [settling.balance(d) for d in (1, 2, 3)] == [2000_06, 0, 999_95]


def test_no_deposit_blocks_a_receiver(settling: Settling) -> None:
    """Deposits stay below 2^56 fen: then 2^24 accounts together stay below 2^80, and no balance can be too large."""
    with refused("DepositTooLarge", POOL, 1, 2**56):
        settling.set_budget(settling.budget(1, 2**56))
    settling.set_budget(settling.budget(1, 2**56 - 1))
    lines = [line(2, 1, 1000_00)]
    statement = settling.statement(lines)
    settling.commit(statement)
    settling.wait()
    settling.finalise(statement, lines)
    assert settling.balance(1) == 2**56 - 1 + 1000_00


def test_a_single_member_that_owes_nothing_settles(settling: Settling) -> None:
    alone = settling.statement([line(3, 3, 7)])
    settling.commit(alone)
    settling.wait()
    settling.finalise(alone, [line(3, 3, 7)])
    assert settling.balance(3) == 1000_00


@pytest.mark.parametrize("amount", [2**127 - 1, -(2**127), -(2**127) + 1])
def test_extreme_amounts_settle(settling: Settling, amount: int) -> None:
    lines = [line(2, 1, amount)] * 3
    statement = settling.statement(lines, debits=0)
    settling.commit(statement)
    settling.wait()
    with refused("BudgetExceeded"):
        settling.finalise(statement, lines)


# ---- statements ------------------------------------------------------------------------------------------------


def test_a_statement_is_committed_once_by_the_pools_own_finance(settling: Settling) -> None:
    departments = settling.city.departments
    statement = settling.statement(LINES)
    with refused("WrongDepartment", departments[2].finance.address, 2, OPERATOR):
        settling.commit(statement, departments[2].finance)
    with refused("RoleMissing"):
        settling.commit(statement, departments[OPERATOR].admin)
    identity = settling.commit(statement)
    with refused("AlreadyDone", identity):
        settling.commit(statement)


def test_invalid_statement_is_refused(settling: Settling) -> None:
    for members, error, values in (
        ({"members": 0}, "StatementEmpty", ()),
        ({"lines": 0}, "StatementEmpty", ()),
        (
            {"window": SHORTEST_WINDOW - 1},
            "WindowOutOfRange",
            (SHORTEST_WINDOW - 1, SHORTEST_WINDOW, 366 * DAY),
        ),
        ({"window": 366 * DAY + 1}, "WindowOutOfRange", None),
        ({"version": 2}, "NotSuccessor", (POOL, 202611, ZERO, 0)),
        ({"supersedes": keccak(b"?")}, "NotSuccessor", None),
        ({"deadline": 1}, "DeadlinePassed", None),
    ):
        with refused(error, *(values or ())):
            settling.commit(settling.statement(LINES, **members))


@pytest.mark.parametrize(
    "member",
    ["period", "lineRoot", "lines", "debits", "members", "window", "ruleHash", "inputRoot", "deadline"],
)
def test_the_relayer_changes_nothing_of_a_statement(settling: Settling, member: str) -> None:
    statement = settling.statement(LINES)
    signature = settling.sign("CommitStatement", statement, settling.city.departments[OPERATOR].finance)
    value = statement[member]
    changed = keccak(value) if isinstance(value, bytes) else value - 1 if member == "deadline" else value + 1
    with refused("NotInOffice"):
        settling.send("commitStatement", {**statement, member: changed}, signature)


def test_new_version_supersedes_an_open_one(committed: tuple[Settling, dict[str, Any]]) -> None:
    settling, first = committed
    old = struct_hash("CommitStatement", first)
    lines = [line(2, 1, 250_00), *LINES[1:]]
    second = settling.statement(lines, version=2, supersedes=old)
    new = settling.commit(second)
    settling.wait()
    with refused("StatementNotOpen", old, 2):
        settling.finalise(first, LINES)
    identity, status = settling.call("currentStatement", POOL, 202611)
    assert (identity, status["state"], status["version"]) == (new, 1, 2)
    settling.finalise(second, lines)
    assert settling.balance(2) == 750_00


def test_a_version_after_the_final_one_adjusts_it(committed: tuple[Settling, dict[str, Any]]) -> None:
    """The settled statement stays; the new one carries the differences, and reversal restores."""
    settling, first = committed
    settling.wait()
    settling.finalise(first, LINES)
    reversal = [{**one, "amount": -one["amount"]} for one in LINES]
    second = settling.statement(reversal, version=2, supersedes=struct_hash("CommitStatement", first))
    settling.commit(second)
    settling.wait()
    settling.finalise(second, reversal)
    assert [settling.balance(d) for d in (1, 2, 3)] == [1000_00] * 3
    assert settling.call("statementStatus", struct_hash("CommitStatement", first))["state"] == 3


@pytest.mark.parametrize("role", ["admin", "steward", "oversight", "attest"])
def test_only_the_pools_finance_finalises(committed: tuple[Settling, dict[str, Any]], role: str) -> None:
    settling, statement = committed
    settling.wait()
    with refused("RoleMissing"):
        settling.finalise(statement, LINES, settling.city.departments[OPERATOR].keys[role])
    with refused("WrongDepartment"):
        settling.finalise(statement, LINES, settling.city.departments[2].finance)


@pytest.mark.parametrize("role", ["admin", "steward", "finance", "cdo", "bureau", "emergency", "attest"])
def test_finalise_needs_the_pools_oversight(committed: tuple[Settling, dict[str, Any]], role: str) -> None:
    settling, statement = committed
    settling.wait()
    with refused("RoleMissing"):
        settling.finalise(statement, LINES, second=settling.city.departments[OPERATOR].keys[role])
    with refused("WrongDepartment"):
        settling.finalise(statement, LINES, second=settling.city.departments[2].keys["oversight"])


def test_one_person_with_both_roles_is_still_one(committed: tuple[Settling, dict[str, Any]]) -> None:
    settling, statement = committed
    both = Key("both")
    settling.city.seat(settling.city.members[:2], OPERATOR, both, FINANCE | OVERSIGHT)
    settling.wait()
    with refused("SignerRepeated", both.address):
        settling.finalise(statement, LINES, both, both)
    settling.finalise(statement, LINES, both)


def test_a_statement_that_was_never_committed_is_unknown(settling: Settling) -> None:
    statement = settling.statement(LINES)
    with refused("StatementUnknown", struct_hash("CommitStatement", statement)):
        settling.finalise(statement, LINES)


def test_the_terms_given_again_must_be_those_committed(committed: tuple[Settling, dict[str, Any]]) -> None:
    settling, statement = committed
    settling.wait()
    message = {"statement": struct_hash("CommitStatement", statement), "deadline": FOREVER}
    signature = settling.sign("Finalise", message, settling.city.departments[OPERATOR].finance)
    lines = [line(2, 1, 1)]
    forged = settling.statement(lines)
    with refused("StatementUnknown", message["statement"]):
        settling.send("finalise", message, forged, lines, signature, signature)


# ---- disputes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("department", "role"), [(2, "finance"), (2, "oversight"), (1, "finance")])
def test_a_party_of_a_line_disputes_it_and_nothing_settles(
    committed: tuple[Settling, dict[str, Any]], department: int, role: str
) -> None:
    settling, statement = committed
    identity = struct_hash("CommitStatement", statement)
    party = settling.city.departments[department].keys[role]
    settling.raise_dispute(statement, LINES, LINES[0], party)
    assert settling.call("statementStatus", identity)["disputes"] == 1
    settling.wait()
    with refused("OpenDisputes", identity, 1):
        settling.finalise(statement, LINES)
    settling.close_dispute(statement, LINES[0], party)
    settling.finalise(statement, LINES)


def test_invalid_disputes_are_refused(committed: tuple[Settling, dict[str, Any]]) -> None:
    settling, statement = committed
    departments = settling.city.departments
    identity = struct_hash("CommitStatement", statement)
    with refused("NotAParty", 3, 2, 1):
        settling.raise_dispute(statement, LINES, LINES[0], departments[3].finance)
    with refused("RoleMissing"):
        settling.raise_dispute(statement, LINES, LINES[0], departments[2].steward)
    with refused("NotInOffice"):
        settling.raise_dispute(statement, LINES, LINES[0], Key("nobody"))
    invented = line(2, 1, 1)
    with refused("NotALine", identity, line_leaf(invented)):
        settling.raise_dispute(statement, LINES, invented, departments[2].finance)
    with refused("DeadlinePassed"):
        settling.raise_dispute(statement, LINES, LINES[0], departments[2].finance, deadline=1)
    with refused("NotALine"):
        settling.raise_dispute(statement, LINES, LINES[0], departments[2].finance, line=line_leaf(LINES[1]))
    settling.raise_dispute(statement, LINES, LINES[0], departments[2].finance)
    with refused("AlreadyDone"):
        settling.raise_dispute(statement, LINES, LINES[0], departments[2].finance)
    settling.wait()
    with refused("DisputeWindowClosed"):
        settling.raise_dispute(statement, LINES, LINES[1], departments[3].finance)


def test_a_suspended_department_still_objects(committed: tuple[Settling, dict[str, Any]]) -> None:
    """Otherwise a stolen bureau key could block a debtor until its window has passed. Its own bureau cannot
    dismiss."""
    settling, statement = committed
    city = settling.city
    city.admit(4)
    for number in (2, 4):
        city.joint(
            "suspendDepartment",
            "SuspendDepartment",
            *(city.departments[other].bureau for other in (1, 3)),
            department=number,
            reason=ZERO,
        )
    finance = city.departments[2].finance
    settling.raise_dispute(statement, LINES, LINES[0], finance)
    with refused("DepartmentNotActive", 4, 2):
        settling.close_dispute(statement, LINES[0], city.departments[4].bureau)
    settling.wait()
    with refused("OpenDisputes"):
        settling.finalise(statement, LINES)
    settling.close_dispute(statement, LINES[0], finance)
    settling.finalise(statement, LINES)


def test_late_disputes_are_refused(committed: tuple[Settling, dict[str, Any]]) -> None:
    """Removed, before or after its term."""
    settling, statement = committed
    city = settling.city
    late, early = Key("late"), Key("early")
    city.seat([city.departments[2].admin], 2, late, FINANCE, notAfter=city.now + 5)
    city.seat([city.departments[2].admin], 2, early, FINANCE, notBefore=city.now + DAY)
    city.chain.travel(10)
    removed = city.departments[2].finance
    city.joint("removeOfficer", "RemoveOfficer", removed, officer=removed.address)
    for key in (late, early, removed):
        with refused("NotInOffice", key.address):
            settling.raise_dispute(statement, LINES, LINES[0], key)


def test_who_ends_a_dispute(committed: tuple[Settling, dict[str, Any]]) -> None:
    """The department that raised it, or the data bureau of a department without a stake, but neither the pool
    nor the other party."""
    settling, statement = committed
    city = settling.city
    city.admit(4)
    settling.raise_dispute(statement, LINES, LINES[0], city.departments[2].finance)
    for signer, error in (
        (city.departments[1].finance, "RoleMissing"),
        (city.departments[1].bureau, "NotArbiter"),
        (city.departments[2].bureau, "NotArbiter"),
        (city.departments[4].finance, "RoleMissing"),
        (Key("nobody"), "NotInOffice"),
    ):
        with refused(error):
            settling.close_dispute(statement, LINES[0], signer)
    settling.close_dispute(statement, LINES[0], city.departments[4].bureau)
    with refused("DisputeNotOpen"):
        settling.close_dispute(statement, LINES[0], city.departments[4].bureau)


def test_inner_node_is_not_accepted_as_a_line(committed: tuple[Settling, dict[str, Any]]) -> None:
    settling, statement = committed
    leaves = [line_leaf(one) for one in LINES]
    assert root_of(leaves) == statement["lineRoot"]
    inner = root_of(leaves[:2])
    message = {**settling.dispute(struct_hash("CommitStatement", statement), LINES[0]), "line": inner}
    signature = settling.sign("Dispute", message, settling.city.departments[2].finance)
    with refused("NotALine"):
        settling.send(
            "raiseDispute", message, statement, LINES[0], proof_of(leaves, leaves[2])[:1], signature
        )


# ---- the split -------------------------------------------------------------------------------------------------


def shares(settling: Settling, cost: int, weights: list[int]) -> list[int]:
    ties = [keccak(b"tie %d" % index) for index in range(len(weights))]
    found: list[int] = list(settling.call("split", cost, weights, ties))
    return found


@pytest.fixture(scope="module")
def splitting(built_city: City) -> Settling:
    """One contract for many splits, because a pure view changes nothing."""
    return Settling(built_city)


@given(
    cost=st.integers(0, 2**128 - 1) | st.integers(0, 1000),
    weights=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), min_size=1, max_size=12).filter(any),
)
def test_shares_sum_to_cost_and_are_fair_to_a_unit(
    splitting: Settling, cost: int, weights: list[int]
) -> None:
    """Against exact rationals: floor or floor plus one, weight 0 pays 0, the sum is the cost."""
    found = shares(splitting, cost, weights)
    total = sum(weights)
    assert sum(found) == cost
    for share, weight in zip(found, weights, strict=True):
        assert share - cost * weight // total in ((0, 1) if cost * weight % total else (0,))


def test_equal_remainders_are_assigned_by_the_tie(splitting: Settling) -> None:
    ties = [b"\3" * 32, b"\1" * 32, b"\2" * 32]
    assert splitting.call("split", 4, [1, 1, 1], ties) == [1, 2, 1]
    assert splitting.call("split", 5, [1, 1, 1], ties) == [1, 2, 2]
    assert splitting.call("split", 10, [1, 0, 2], ties) == [3, 0, 7]


def test_impossible_split_is_refused(splitting: Settling) -> None:
    with refused("NoWeight", 5):
        splitting.call("split", 5, [0, 0], [ZERO, ZERO])
    with refused("LengthsDiffer", 2, 1):
        splitting.call("split", 5, [1, 1], [ZERO])
    assert splitting.call("split", 0, [0, 0], [ZERO, ZERO]) == [0, 0]
    assert splitting.call("split", 0, [], []) == []
