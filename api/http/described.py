"""What a route adds to the description of the interface: its callers, and its refusals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from fastapi.dependencies.models import Dependant
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.security.base import SecurityBase

from access_policy.explain.phrases import PHRASES
from api.advice.client import CLIENT
from api.advice.doctor import DOCTOR
from api.advice.files import FILES
from api.http.problems import ADVICE, Problem

CODES = "x-problem-codes"
"""Member of a documented refusal: the stable codes that it can have."""

SIGNATURE = "Signature"

REASONS = tuple(sorted(PHRASES))
"""Every reason for which a call for data is refused."""
SERVED = sorted((ADVICE.keys() | PHRASES.keys()) - (CLIENT.keys() | FILES.keys() | DOCTOR.keys()))
"""The codes that the service itself can answer."""


class MessageSignature(SecurityBase):
    """The call carries a message signature (RFC 9421). This only marks the description: `api.v1.dependencies`
    verifies the signature."""

    def __init__(self) -> None:
        self.model = APIKey.model_validate({"in": APIKeyIn.header, "name": SIGNATURE})
        self.scheme_name = SIGNATURE

    def __call__(self) -> None:
        return None


def refusals(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that can answer these codes, each under its status. A code that ends with a dot
    stands for all below it (``signature.``)."""
    found: dict[int | str, dict[str, Any]] = {}
    for status, some in by_status(codes).items():
        found[status] = {"description": "", CODES: some}
    return found


Called = TypeVar("Called", bound=Callable[..., Any])


def refuses(*codes: str) -> Callable[[Called], Called]:
    """Declares the codes with which a dependency refuses; every operation that depends on it describes them too."""

    def mark(dependency: Called) -> Called:
        _REFUSES[dependency] = codes
        return dependency

    return mark


_REFUSES: dict[Callable[..., Any], tuple[str, ...]] = {}


def refusals_of(dependant: Dependant) -> tuple[str, ...]:
    """The codes with which the dependencies of a route refuse, at any depth."""
    own = _REFUSES.get(dependant.call, ()) if dependant.call is not None else ()
    return own + tuple(code for below in dependant.dependencies for code in refusals_of(below))


def by_status(codes: Iterable[str]) -> dict[int, list[str]]:
    """The codes under their statuses, as `api.http.problems` has them."""
    found: dict[int, list[str]] = defaultdict(list)
    for code in codes:
        below = [one for one in SERVED if one.startswith(code)] if code.endswith(".") else [code]
        for one in below:
            found[Problem(one).status].append(one)
    return found


def one_file(*media_types: str) -> dict[str, Any]:
    """A body or an answer that is no JSON, of one of these media types."""
    return {"content": {name: {"schema": {"type": "string", "format": "binary"}} for name in media_types}}
