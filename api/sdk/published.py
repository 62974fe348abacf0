"""The departments and records that a service publishes, as input of the rules on signatures.

A client calls `ledger.acts.signing` over them to find who may sign and the order of the signatures. The service
applies the same rules when the act is handed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from api.protocol.errors import ClientError
from api.sdk import published_forms as forms
from api.sdk.acts import ActDraft
from api.sdk.codes import GRADES, RIGHTS, SEAT_ROLES, SERVICE_ROLES, bits_of
from api.sdk.errors import ServiceProblem, ServiceUnreachable
from contracts.codes import ConditionStatus, DepartmentStatus, GrantStatus, SeatFlag
from ledger.acts.authority import SignerRules
from ledger.acts.records import Row, SeatedCouncil
from ledger.acts.refusal import ActRefused
from ledger.acts.signing import places_by_slot, signers_refused
from ledger.chain.code_words import word_of
from ledger.chain.messages import normalise
from ledger.ids import asset_text, condition_text

if TYPE_CHECKING:
    from api.sdk.client import Civic

T = TypeVar("T")

SKEW_S = 300
"""An office that begins or ends within so many seconds counts as valid here: the service's clock decides."""
MOST_S = 60.0
"""The time limit of a register's queries in seconds, so that an endless list ends."""
_ENDED = {
    word_of(status): status for status in (GrantStatus.REVOKED, GrantStatus.CANCELLED, GrantStatus.REPLACED)
}


class Register:
    """Departments, datasets, grants and conditions that a service publishes; each is fetched once, and nothing
    after `MOST_S` seconds. Its functions return None for what is not on record, and raise the errors of `Civic`. An
    officer is looked for first in the department ``own``, because the service has no search by address and a city
    has many departments.

    If it is built with an error instead of a client, every query raises that error.
    """

    def __init__(self, civic: Civic | ClientError, own: int = 0) -> None:
        self._civic, self._own = civic, own
        self._until = time.monotonic() + MOST_S
        self._known: dict[tuple[str, object], Any] = {}

    def department(self, number: int) -> dict[str, Any] | None:
        return self._asked("department", number, lambda civic: forms.department(civic.department(number)))

    def dataset(self, asset: int) -> dict[str, Any] | None:
        return self._asked("dataset", asset, lambda civic: forms.dataset(civic.dataset(asset_text(asset))))

    def grant(self, grant_id: str) -> dict[str, Any] | None:
        return self._asked("grant", grant_id, lambda civic: forms.grant(civic.grant(grant_id)))

    def condition(self, number: int) -> dict[str, Any] | None:
        text = condition_text(number)
        return self._asked("condition", number, lambda civic: forms.condition(civic.condition(text)))

    @property
    def council(self) -> dict[str, Any]:
        return self._asked("council", 0, lambda civic: forms.council(civic.council())) or {}

    @property
    def departments(self) -> list[int]:
        found = self._asked("departments", 0, lambda civic: _numbers(civic.departments())) or []
        return sorted(found, key=lambda one: (one != self._own, one))

    def seat(self, address: str) -> tuple[int, Mapping[str, Any]] | None:
        """The department of an officer or machine, and its seat."""
        for number in self.departments:
            self.department(number)
            if address.lower() in self._seats(number):
                return number, self._seats(number)[address.lower()]
        return None

    def _seats(self, number: int) -> Mapping[str, Mapping[str, Any]]:
        key = ("seats", number)
        if key not in self._known:
            found = self.department(number)
            seats = (*found["officers"], *found["attest_keys"]) if found else ()
            self._known[key] = {seat["address"].lower(): seat for seat in reversed(seats)}
        known: Mapping[str, Mapping[str, Any]] = self._known[key]
        return known

    def _asked(self, kind: str, key: object, ask: Callable[[Civic], T]) -> T | None:
        if (kind, key) not in self._known:
            self._known[kind, key] = self._answer(ask)
        found: T | ClientError | None = self._known[kind, key]
        if isinstance(found, ClientError):
            raise found
        return found

    def _answer(self, ask: Callable[[Civic], Any]) -> Any:
        if isinstance(self._civic, ClientError):
            return self._civic
        try:
            _must_be_before(self._until)
            return ask(self._civic)
        except ServiceUnreachable as silent:
            self._civic = silent  # Each further query would take as long.
            return silent
        except ServiceProblem as problem:
            return None if problem.status == 404 else problem
        except ClientError as unusable:
            return unusable


def _numbers(departments: Iterator[dict[str, Any]]) -> list[int]:
    return [forms.department_number(one) for one in in_time(departments)]


def in_time(items: Iterator[T]) -> Iterator[T]:
    """The items of a service's list, one by one; ServiceUnreachable if the list takes longer than `MOST_S` seconds."""
    until = time.monotonic() + MOST_S
    for item in items:
        _must_be_before(until)
        yield item


def _must_be_before(until: float) -> None:
    if time.monotonic() > until:
        raise ServiceUnreachable(f"the service took more than {MOST_S:g} s to say what it has")


class PublishedRecords:
    """`Records` of a register."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def rules(self) -> SignerRules:
        """The rules on signatures over these records, as of now."""
        return SignerRules(self, int(time.time()))

    def seat(self, address: str) -> Row | None:
        found = self._register.seat(address)
        return None if found is None else _seat(*found)

    def council(self) -> SeatedCouncil:
        found = self._register.council
        members, threshold = tuple(found["members"]), int(found["threshold"])
        return SeatedCouncil(int(found["epoch"]), members, threshold, str(found["guardian"]))

    def department(self, number: int) -> Row | None:
        found = self._register.department(number)
        if found is None:
            return None
        active = found["status"] == word_of(DepartmentStatus.ACTIVE)
        standing = DepartmentStatus.ACTIVE if active else DepartmentStatus.SUSPENDED
        return {"standing": standing, "recovery": found["recovery"]}

    def asset(self, number: int) -> Row | None:
        found = self._register.dataset(number)
        if found is None:
            return None
        rights = {name: int(found[name]) for name in ("holder", "processor", "operator")}
        return rights | {"grade": GRADES[found["grade"]]}

    def grant(self, grant_id: str) -> Row | None:
        found = self._register.grant(grant_id)
        if found is None:
            return None
        return {
            **{name: found[name] for name in ("id", "asset", "grantee", "parent", "kind")},
            "right": RIGHTS.get(found["right"], 0),
            "state": _ENDED.get(found["status"], GrantStatus.ACTIVE),
            "uses": found["uses_on_chain"],
        }

    def service_key(self, department: int, key: str) -> Row | None:
        found = self._register.department(department)
        for one in found["service_keys"] if found else ():
            if f"0x{one['key']}" == key:
                return {**one, "roles": bits_of(SERVICE_ROLES, one["roles"])}
        return None

    def condition(self, number: int) -> int | None:
        found = self._register.condition(number)
        if found is None:
            return None
        is_open = found["status"] == word_of(ConditionStatus.OPEN)
        return ConditionStatus.OPEN if is_open else ConditionStatus.ENDED


def signatures_of(civic: Civic, draft: ActDraft) -> list[str] | dict[str, list[str]]:
    """The signatures in the contract's order, whatever the order of signing; by slot if the contract has two lists."""
    found = places_by_slot(
        PublishedRecords(Register(civic)).rules(),
        draft.type,
        normalise(draft.type, draft.message),
        draft.arguments,
        draft.signers(civic.trust),
    )
    if isinstance(found, list):
        return [draft.signatures[n] for n in found]
    return {slot: [draft.signatures[n] for n in places] for slot, places in found.items()}


def officers_refused(
    register: Register, draft: ActDraft, signers: Sequence[str], *, others_follow: bool
) -> ActRefused | None:
    """The reason why these addresses must not sign an act, as the service would answer it; None if they may."""
    message = normalise(draft.type, draft.message)
    rules = PublishedRecords(register).rules()
    return signers_refused(rules, draft.type, message, draft.arguments, signers, others_follow=others_follow)


def _seat(department: int, seat: Mapping[str, Any]) -> Row:
    flags = {"removed": SeatFlag.REMOVED, "rotated": SeatFlag.ROTATED}.get(seat["status"], 0)
    return {
        "department": department,
        "roles": bits_of(SEAT_ROLES, seat["roles"]),
        "flags": flags,
        "not_before": int(seat["not_before"]) - SKEW_S,
        "not_after": int(seat["not_after"]) + SKEW_S,
        "successor": seat["successor"],
    }
