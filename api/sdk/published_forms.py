"""The forms of a service's public answers that the rules on signatures and the words before a signature use.

The gateway's signature proves who gave an answer, not that it has these members. Each function returns the given
document, or raises AnswerRefused.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any

from api.sdk.codes import CONDITION_KINDS, GRADES
from api.sdk.errors import AnswerRefused
from api.sdk.transport import items_of
from ledger.errors import LedgerError
from ledger.ids import parse_asset

Form = Mapping[str, tuple[type, ...]]

_COUNCIL: Form = {"epoch": (int,), "members": (list,), "threshold": (int,), "guardian": (str,)}
_HAND_OVER: Form = {"id": (str, NoneType), "hand_over_at": (int,), "successor": (str,)}
_DEPARTMENT: Form = {"status": (str,), "recovery": (str,), "profile": (dict, NoneType)}
_SEAT: Form = {
    "address": (str,),
    "roles": (list,),
    "status": (str,),
    "not_before": (int,),
    "not_after": (int,),
    "successor": (str, NoneType),
}
_SERVICE_KEY: Form = {"key": (str,), "roles": (list,), "removed": (bool,), "not_before": (int,)}
_DATASET: Form = {
    "holder": (int,),
    "processor": (int,),
    "operator": (int,),
    "grade": (str,),
    "metadata": (dict, NoneType),
}
_GRANT: Form = {
    "id": (str,),
    "asset": (str,),
    "grantee": (int,),
    "parent": (str, NoneType),
    "kind": (str,),
    "right": (str,),
    "status": (str,),
    "uses_on_chain": (int,),
    "terms": (dict,),
}
_CONDITION: Form = {"kind": (str,), "keeper": (int,), "status": (str,)}


def council(found: dict[str, Any]) -> dict[str, Any]:
    """The council, and the pending hand-over."""
    _fits(found, _COUNCIL)
    _words(found, "members")
    if found.get("hand_over") is not None:
        _fits(found["hand_over"], _HAND_OVER)
    return found


def department_number(item: Mapping[str, Any]) -> int:
    """The number of one of the listed departments."""
    _fits(item, {"id": (int,)})
    return int(item["id"])


def department(found: dict[str, Any]) -> dict[str, Any]:
    """A department with all its officers and keys."""
    _fits(found, _DEPARTMENT)
    for seats in ("officers", "attest_keys"):
        for seat in items_of(found, seats):
            _fits(seat, _SEAT)
            _words(seat, "roles")
    for key in items_of(found, "service_keys"):
        _fits(key, _SERVICE_KEY)
        _words(key, "roles")
    return found


def dataset(found: dict[str, Any]) -> dict[str, Any]:
    """A dataset, and the holders of its rights."""
    _fits(found, _DATASET)
    return _spelled(found, "grade", GRADES)


def grant(found: dict[str, Any]) -> dict[str, Any]:
    """The state of a grant."""
    _fits(found, _GRANT)
    try:
        parse_asset(found["asset"])
    except LedgerError as unfit:
        raise AnswerRefused(unfit.message) from unfit
    return found


def condition(found: dict[str, Any]) -> dict[str, Any]:
    """The state of a condition."""
    _fits(found, _CONDITION)
    return _spelled(found, "kind", CONDITION_KINDS)


def _fits(found: object, form: Form) -> None:
    for name, types in form.items():
        if not isinstance(found, Mapping) or type(found.get(name)) not in types:
            raise AnswerRefused(f"the answer has no {name}, or another kind of it")


def _words(found: Mapping[str, Any], name: str) -> None:
    if not all(isinstance(one, str) for one in found[name]):
        raise AnswerRefused(f"what the answer lists under {name} are no words")


def _spelled(found: dict[str, Any], name: str, words: Mapping[str, int]) -> dict[str, Any]:
    if found[name] not in words:
        raise AnswerRefused(f"the answer has no {name} that is known here")
    return found
