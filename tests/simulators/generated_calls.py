"""The hooks of Schemathesis (`SCHEMATHESIS_HOOKS`): they sign every call with the key in `SIGNS_CALLS` and
check the code of every refusal against the description."""

from __future__ import annotations

import json
import os

import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from schemathesis import Case, Response
from schemathesis.checks import CheckContext

from api.http.described import CODES
from api.http.problems import Problem
from api.sdk.transport import ServiceKey
from tests.simulators.signed_session import SignedBy

KEY = "SIGNS_CALLS"
"""``<department>:<private key, hex>``; calls are not signed without it."""

if named := os.environ.get(KEY):
    _department, _, _private = named.partition(":")
    _key = ServiceKey(int(_department), Ed25519PrivateKey.from_private_bytes(bytes.fromhex(_private)))
    schemathesis.auth.set_from_requests(SignedBy(_key))


@schemathesis.check
def described_code(context: CheckContext, response: Response, case: Case) -> None:
    """A refusal has the status of its code, and the description of its operation lists it."""
    answer = case.operation.responses.find_by_status_code(response.status_code)
    other_method = case.method.upper() != case.operation.method.upper()
    if response.status_code < 400 or answer is None or other_method:
        return
    code = json.loads(response.content)["code"]
    if Problem(code).status != response.status_code or code not in answer.definition[CODES]:
        raise AssertionError(f"{code} is not described")
