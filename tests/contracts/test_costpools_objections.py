"""Cost pools: what the keys of a pool's operator cannot do to its members.

Regression: one FINANCE key of the operator emptied every budget, because the settled nets were not those of
the disputable lines, a statement as a whole could not be objected to, and a new version cleared disputes.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from contracts_harness import DAY, FINANCE, FOREVER, HOUR, ZERO, City, Key, Reverted, struct_hash

from .refusals import refused
from .settling import OPERATOR, SHORTEST_WINDOW, Settling, line
from .test_costpools_settlement import LINES, committed, settling

__all__ = ["committed", "settling"]

Committed = tuple[Settling, dict[str, Any]]


def id_of(statement: dict[str, Any]) -> bytes:
    return struct_hash("CommitStatement", statement)


def after(settling: Settling, statement: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Commit the next version."""
    version = {"version": statement["version"] + 1, "supersedes": id_of(statement)}
    following = settling.statement(lines, **version)
    settling.commit(following)
    return following


def pause(city: City, seconds: int = DAY) -> None:
    message = city.message("Pause", duration=seconds)
    city.send("pause", message, *city.sign("Pause", message, city.guardian))


def suspend(city: City, department: int) -> None:
    """By the data bureaus of two other departments."""
    bureaus = [city.departments[n].bureau for n in (1, 2, 3) if n != department][:2]
    city.joint(
        "suspendDepartment",
        "SuspendDepartment",
        *bureaus,
        department=department,
        reason=ZERO,
    )


# ---- what is settled is what the lines say ------------------------------------------------------------------------


def test_zero_line_takes_no_budget(settling: Settling) -> None:
    """The attack: one line ``1 -> 1: 0``, and nets that take everything from 2 and 3. Statements no longer
    contain nets."""
    lines = [line(1, 1, 0)]
    statement = settling.statement(lines, debits=1500_00, members=3)
    settling.commit(statement)
    settling.wait()
    for given, error in (
        (lines, "MembersDiffer"),
        ([line(2, 1, 1000_00)], "LineRootDiffers"),
        ([line(2, 1, 1000_00), line(3, 1, 500_00)], "LinesDiffer"),
    ):
        with refused(error):
            settling.finalise(statement, given)
    assert [settling.balance(d) for d in (1, 2, 3)] == [1000_00] * 3


def test_finance_of_the_operator_alone_settles_nothing(committed: Committed) -> None:
    settling, statement = committed
    settling.wait()
    own = settling.city.departments[OPERATOR]
    with refused("RoleMissing"):
        settling.finalise(statement, LINES, own.finance, own.finance)


def test_an_admin_alone_settles_nothing(committed: Committed) -> None:
    """It can seat any number of FINANCE officers, but no OVERSIGHT."""
    settling, statement = committed
    own, one, other = settling.city.departments[OPERATOR], Key("one"), Key("other")
    for newcomer in (one, other):
        settling.city.seat([own.admin], OPERATOR, newcomer, FINANCE)
    settling.wait()
    with refused("RoleMissing"):
        settling.finalise(statement, LINES, one, other)


# ---- an objection to all of it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("department", "role"), [(2, "finance"), (3, "oversight"), (1, "finance")])
def test_requested_lines_must_be_shown_before_settlement(
    committed: Committed, department: int, role: str
) -> None:
    settling, statement = committed
    raised = settling.object(statement, settling.city.departments[department].keys[role]).only("Objected")
    assert (raised["statement"], raised["department"]) == (id_of(statement), department)
    settling.wait()
    with refused("LinesNotShown", id_of(statement)):
        settling.finalise(statement, LINES)
    shown = settling.show(statement, LINES).only("LinesShown")
    assert [one["amount"] for one in shown["lines"]] == [one["amount"] for one in LINES]
    with refused("DisputeWindowOpen", id_of(statement), shown["until"]):
        settling.finalise(statement, LINES)
    settling.wait()
    settling.finalise(statement, LINES)


def test_lines_that_are_shown_late_can_still_be_disputed(settling: Settling) -> None:
    """An attacker hides the lines until the window has passed: the member that asked for them has time to
    dispute from the event on."""
    lines = [line(2, 1, 1000_00), line(3, 1, 1000_00)]
    statement = settling.statement(lines)
    settling.commit(statement)
    settling.object(statement, settling.city.departments[2].finance)
    settling.city.chain.travel(30 * DAY)
    with refused("DisputeWindowClosed"):
        settling.raise_dispute(statement, lines, lines[0], settling.city.departments[2].finance)
    shown = settling.show(statement, lines).only("LinesShown")["lines"]
    settling.raise_dispute(statement, shown, shown[0], settling.city.departments[2].finance)
    settling.wait()
    with refused("OpenDisputes"):
        settling.finalise(statement, lines)


def test_lines_shown_early_change_no_window_and_need_no_objection(settling: Settling) -> None:
    statement = settling.statement(LINES, window=3 * DAY)
    settling.commit(statement)
    before = settling.call("statementStatus", id_of(statement))["disputableUntil"]
    assert settling.show(statement, LINES).only("LinesShown")["until"] == before
    with refused("AlreadyShown", id_of(statement)):
        settling.object(statement, settling.city.departments[2].finance)
    with refused("AlreadyShown", id_of(statement)):
        settling.show(statement, LINES, settling.city.departments[2].finance)


def test_who_may_ask_and_show(committed: Committed) -> None:
    """Finance and oversight of every department, also of suspended ones and non-members, and also during a
    pause."""
    settling, statement = committed
    city = settling.city
    city.admit(4)
    for role in ("admin", "steward", "cdo", "bureau", "emergency", "attest"):
        with refused("RoleMissing"):
            settling.object(statement, city.departments[2].keys[role])
        with refused("RoleMissing"):
            settling.show(statement, LINES, city.departments[2].keys[role])
    for nobody in (Key("nobody"), city.members[0], city.guardian):
        with refused("NotInOffice"):
            settling.object(statement, nobody)
        with refused("NotInOffice"):
            settling.show(statement, LINES, nobody)
    with refused("DeadlinePassed"):
        settling.object(statement, city.departments[4].finance, deadline=1)
    with refused("DeadlinePassed"):
        settling.show(statement, LINES, deadline=1)
    suspend(city, 4)
    pause(city)
    settling.object(statement, city.departments[4].finance)
    with refused("AlreadyObjected", id_of(statement)):
        settling.object(statement, city.departments[2].finance)
    settling.show(statement, LINES, city.departments[4].keys["oversight"])


def test_invalid_objections_and_lines_are_refused(committed: Committed) -> None:
    settling, statement = committed
    finance = settling.city.departments[2].finance
    strange = settling.statement(LINES, period=9)
    with refused("StatementUnknown"):
        settling.object(strange, finance)
    with refused("StatementUnknown"):
        settling.show(strange, LINES)
    with refused("LinesDiffer", id_of(statement), 2, 3):
        settling.show(statement, LINES[:2])
    with refused("LineRootDiffers"):
        settling.show(statement, [line(2, 1, 1), *LINES[1:]])
    settling.wait()
    with refused("DisputeWindowClosed"):
        settling.object(statement, finance)
    settling.finalise(statement, LINES)
    with refused("StatementNotOpen", id_of(statement), 3):
        settling.show(statement, LINES)


def test_new_version_keeps_open_objections(committed: Committed) -> None:
    """A later version does not end it either; only its own lines do."""
    settling, first = committed
    settling.object(first, settling.city.departments[2].finance)
    second = after(settling, first, LINES)
    with refused("AlreadyObjected"):
        settling.object(second, settling.city.departments[3].finance)
    third = after(settling, second, LINES)
    settling.wait()
    with refused("LinesNotShown", id_of(third)):
        settling.finalise(third, LINES)
    settling.show(third, LINES)
    fourth = after(settling, third, [line(2, 1, 1)])
    settling.wait()
    with refused("LinesNotShown", id_of(fourth)):
        settling.finalise(fourth, [line(2, 1, 1)])


def test_adjustment_of_a_settled_statement_has_its_own_window(committed: Committed) -> None:
    settling, first = committed
    settling.object(first, settling.city.departments[2].finance)
    settling.show(first, LINES)
    settling.wait()
    settling.finalise(first, LINES)
    second = after(settling, first, LINES)
    status = settling.call("statementStatus", id_of(second))
    assert (status["objected"], status["shown"], status["disputes"]) == (False, False, 0)


# ---- disputes follow the period -----------------------------------------------------------------------------------


def test_new_version_keeps_open_disputes(committed: Committed) -> None:
    """Regression: a new version ended the dispute. The department that raised it withdraws it if the new
    version is correct."""
    settling, first = committed
    finance = settling.city.departments[2].finance
    settling.raise_dispute(first, LINES, LINES[0], finance)
    lines = [line(2, 1, 100_00), *LINES[1:]]
    second = after(settling, first, lines)
    assert settling.call("statementStatus", id_of(first))["disputes"] == 0
    third = after(settling, second, lines)
    settling.wait()
    with refused("OpenDisputes", id_of(third), 1):
        settling.finalise(third, lines)
    for other in (settling.city.departments[1].finance, settling.city.departments[3].finance):
        with refused("RoleMissing"):
            settling.close_dispute(first, LINES[0], other)
    closed = settling.close_dispute(first, LINES[0], finance).only("DisputeClosed")
    assert (closed["statement"], closed["waitsUntil"]) == (id_of(first), 0)
    settling.finalise(third, lines)
    assert settling.balance(2) == 900_00


def test_a_carried_dispute_and_new_ones_are_counted_together(committed: Committed) -> None:
    settling, first = committed
    finance = settling.city.departments[2].finance
    settling.raise_dispute(first, LINES, LINES[0], finance)
    settling.raise_dispute(first, LINES, LINES[1], settling.city.departments[3].finance)
    second = after(settling, first, LINES)
    settling.raise_dispute(second, LINES, LINES[0], finance)
    settling.wait()
    for statement, about, left in ((second, 0, 3), (first, 0, 2), (first, 1, 1)):
        with refused("OpenDisputes", id_of(second), left):
            settling.finalise(second, LINES)
        settling.close_dispute(statement, LINES[about], settling.city.departments[3 if about else 2].finance)
        with refused("DisputeNotOpen"):
            settling.close_dispute(
                statement, LINES[about], settling.city.departments[3 if about else 2].finance
            )
    settling.finalise(second, LINES)


def test_the_statement_given_to_a_close_is_the_disputed_one(committed: Committed) -> None:
    """Otherwise the dispute of one pool would be subtracted from the count of another."""
    settling, first = committed
    finance = settling.city.departments[2].finance
    other = settling.statement(LINES, period=9)
    settling.commit(other)
    settling.raise_dispute(first, LINES, LINES[0], finance)
    dispute = settling.dispute(id_of(first), LINES[0])
    message = {"dispute": struct_hash("Dispute", dispute), "reason": ZERO, "deadline": FOREVER}
    signature = settling.sign("CloseDispute", message, finance)
    with refused("StatementUnknown", id_of(first)):
        settling.send("closeDispute", message, dispute, other, LINES[0], signature)
    with refused("DisputeNotOpen"):
        moved = {**dispute, "statement": id_of(other)}
        settling.send("closeDispute", message, moved, other, LINES[0], signature)


def test_a_dismissal_leaves_time_to_withdraw(committed: Committed) -> None:
    """With a stolen bureau key of a third department and the operator's two, the debtor can still withdraw
    its money."""
    settling, statement = committed
    city = settling.city
    city.admit(4)
    settling.raise_dispute(statement, LINES, LINES[0], city.departments[2].finance)
    settling.wait()
    closed = settling.close_dispute(statement, LINES[0], city.departments[4].bureau).only("DisputeClosed")
    assert city.now - 2 <= closed["waitsUntil"] - SHORTEST_WINDOW <= city.now
    with refused("DismissalWaits", id_of(statement), closed["waitsUntil"]):
        settling.finalise(statement, LINES)
    settling.set_budget(settling.budget(2, 1000_00, 1000_00))
    settling.wait()
    with refused("BudgetExceeded"):
        settling.finalise(statement, LINES)


# ---- a statement ends ---------------------------------------------------------------------------------------------


def test_old_statement_expires_without_budget(settling: Settling) -> None:
    settling.city.admit(4)
    lines = [line(4, 1, 500_00)]
    statement = settling.statement(lines)
    settling.commit(statement)
    until = settling.call("statementStatus", id_of(statement))["disputableUntil"] + 90 * DAY
    settling.city.chain.now = until
    settling.set_budget(settling.budget(4, 1000_00))
    with refused("StatementExpired", id_of(statement), until):
        settling.finalise(statement, lines)
    with refused("StatementExpired", id_of(statement), until):
        settling.show(statement, lines)
    again = after(settling, statement, lines)
    settling.wait()
    settling.finalise(again, lines)
    assert settling.balance(4) == 500_00


def test_statement_settles_in_its_last_second(committed: Committed) -> None:
    settling, statement = committed
    until = settling.call("statementStatus", id_of(statement))["disputableUntil"] + 90 * DAY
    settling.city.chain.now = until - 1
    settling.finalise(statement, LINES)


# ---- money goes out -----------------------------------------------------------------------------------------------


def test_department_can_always_withdraw_its_money(settling: Settling) -> None:
    """No pause, no suspension by another department's bureau, no successor of the ledger."""
    city = settling.city
    suspend(city, 2)
    settling.set_budget(settling.budget(2, 1000_00, 100_00))
    with refused("DepartmentNotActive", 2, 2):
        settling.set_budget(settling.budget(2, 1000_01, 100_00))
    pause(city)
    settling.set_budget(settling.budget(2, 1000_00, 300_00))
    for deposit in (settling.budget(3, 1000_01), settling.budget(3, 1000_01, 500_00)):
        with refused("PausedUntil"):
            settling.set_budget(deposit)
    city.hand_over(city.successor())
    city.chain.travel(3 * HOUR)
    settling.set_budget(settling.budget(2, 1000_00, 1000_00))
    assert settling.balance(2) == 0


def test_a_withdrawal_is_by_finance_in_office_of_the_department(settling: Settling) -> None:
    city = settling.city
    message = settling.budget(2, 1000_00, 1)
    for role in ("admin", "steward", "cdo", "oversight", "emergency", "bureau", "attest"):
        with refused("RoleMissing"):
            settling.set_budget(message, city.departments[2].keys[role])
    with refused("WrongDepartment", city.departments[3].finance.address, 3, 2):
        settling.set_budget(message, city.departments[3].finance)
    removed = city.departments[2].finance
    city.joint("removeOfficer", "RemoveOfficer", removed, officer=removed.address)
    for key in (removed, Key("nobody")):
        with refused("NotInOffice", key.address):
            settling.set_budget(message, key)


def test_a_hand_over_of_the_ledger_stops_nothing_in_a_pool(committed: Committed) -> None:
    """Seats stay in the ledger, so pools continue with it; a pause stops them temporarily."""
    settling, statement = committed
    city = settling.city
    settling.wait()
    city.hand_over(city.successor())
    city.chain.travel(3 * HOUR)
    with city.chain.rewound():
        pause(city)
        with refused("PausedUntil"):
            settling.finalise(statement, LINES)
    settling.finalise(statement, LINES)
    settling.set_budget(settling.budget(3, 1000_01))
    after(settling, statement, LINES)


# ---- every order of arrival ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [*permutations(("object", "dispute", "version", "show"))], ids="-".join)
def test_result_does_not_depend_on_the_order(committed: Committed, order: tuple[str, ...]) -> None:
    """An objection, a dispute, a new version and the lines of the current one, in every order: lines that
    were requested before the last version are shown, and an accepted dispute remains until it is
    withdrawn."""
    settling, statement = committed
    finance = settling.city.departments[2].finance
    disputed, shown = statement, False
    for act in order:
        if act == "object" and shown:
            with refused("AlreadyShown", id_of(statement)):
                settling.object(statement, finance)
        elif act == "object":
            settling.object(statement, finance)
        elif act == "dispute":
            settling.raise_dispute(statement, LINES, LINES[0], finance)
            disputed = statement
        elif act == "version":
            statement, shown = after(settling, statement, LINES), False
        else:
            settling.show(statement, LINES)
            shown = True
    settling.wait()
    with refused("OpenDisputes", id_of(statement), 1):
        settling.finalise(statement, LINES)
    settling.close_dispute(disputed, LINES[0], finance)
    status = settling.call("statementStatus", id_of(statement))
    assert status["shown"] == shown
    if status["objected"] and not shown:
        with refused("LinesNotShown", id_of(statement)):
            settling.finalise(statement, LINES)
        settling.show(statement, LINES)
        settling.wait()
    settling.finalise(statement, LINES)


# ---- every key ----------------------------------------------------------------------------------------------------


ROLES = ("admin", "steward", "finance", "cdo", "oversight", "emergency", "bureau", "attest")


def test_no_two_keys_take_a_watching_members_money(settling: Settling) -> None:
    """A statement that takes everything from 2 is committed. 2 asks for the lines, disputes its line; every pair of keys
    of the others then tries, in either order, everything that could end it. Three are needed, and then 2 withdraws."""
    city = settling.city
    city.admit(4)
    lines = [line(2, 1, 1000_00)]
    statement = settling.statement(lines)
    settling.commit(statement)
    finance = city.departments[2].finance
    settling.object(statement, finance)
    settling.show(statement, lines)
    settling.raise_dispute(statement, lines, lines[0], finance)
    settling.wait()
    others = [city.departments[d].keys[role] for d in (1, 3, 4) for role in ROLES]
    closers = [key for key in others if closes(settling, statement, lines[0], key)]
    assert closers == [city.departments[d].bureau for d in (3, 4)]
    everyone = [*others, *(city.departments[2].keys[role] for role in ROLES)]
    with city.chain.rewound():
        settling.close_dispute(statement, lines[0], city.departments[4].bureau)
        settling.wait()
        pairs = [(a, b) for a in everyone for b in everyone if settles(settling, statement, lines, a, b)]
    assert pairs == [(city.departments[OPERATOR].finance, city.departments[OPERATOR].keys["oversight"])]
    settling.set_budget(settling.budget(2, 1000_00, 1000_00))
    assert settling.balance(1) == 1000_00


def closes(settling: Settling, statement: dict[str, Any], about: dict[str, Any], key: Key) -> bool:
    """Whether this key ends the dispute; undone."""
    with settling.city.chain.rewound():
        try:
            settling.close_dispute(statement, about, key)
        except Reverted:
            return False
        return True


def settles(
    settling: Settling, statement: dict[str, Any], lines: list[dict[str, Any]], one: Key, other: Key
) -> bool:
    """Whether these keys settle it; undone."""
    with settling.city.chain.rewound():
        try:
            settling.finalise(statement, lines, one, other)
        except Reverted:
            return False
        return True
