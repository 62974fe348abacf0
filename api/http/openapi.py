"""The description of the interface (OpenAPI 3.1, ``/openapi.json``), complete enough to generate a client from.

FastAPI describes parameters, bodies and answers; what all operations share is added here: the signature of calls
and of answers, the refusals of the edge, and the problem document that every refusal is.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field

from api.http.described import CODES, SIGNATURE, by_status, refusals_of
from api.http.examples import examples
from api.http.exchanges import REQUEST_ID_HEADER
from api.http.problems import Problem
from api.protocol.http_signatures import (
    CALL_HEADER,
    CHALLENGE_HEADER,
    RECEIPT_HEADER,
    RELEASE_HEADER,
    WANTED_HEADER,
)
from api.protocol.names import SEEN_HEADER

PROBLEM = "application/problem+json"

EVERY = (
    "request.header-twice",
    "request.host",
    "request.target",
    "request.invalid",
    "request.misdirected",
    "request.too-slow",
    "request.head-too-large",
    "body.too-large",
)
"""Refusals of the edge, for every request."""
WITH_BODY = (
    "request.encoding",
    "request.text",
    "request.too-complex",
    "request.member-twice",
    "request.number",
)
WITH_PATH = ("not-found.path",)
"""A slash in a parameter changes the path, also an encoded one."""
FAULTS = {
    "500": "A fault of the service.",
    "503": "The service, or what it depends on, cannot answer now: ask again.",
}

DESCRIPTION = """Governed data sharing between the departments of a city.

Calls of departments and auditors are signed (RFC 9421, Ed25519); every answer is signed by the gateway. `docs/signed-calls.md` has the
whole of it, with programs in three languages; `docs/calls.md` the rules. Every refusal is a problem document (RFC 9457) whose `code` is
stable: `docs/codes.md` lists all codes, and each operation the ones it can answer (`x-problem-codes`). 5xx are faults of the service
or of what it depends on, and any operation can answer any of them."""

_TEXT: dict[str, Any] = {"type": "string"}
_HEADERS: dict[str, tuple[str, bool]] = {
    "Content-Digest": (
        "RFC 9530, `sha-256=:BASE64:` of the answer's bytes; a streamed answer has none",
        False,
    ),
    "Signature-Input": (
        "RFC 9421, label `civic`: what the gateway signed, of this answer and of its request",
        True,
    ),
    "Signature": ("RFC 9421, label `civic`: the gateway's Ed25519 signature", True),
    RECEIPT_HEADER: ("base64url of the receipt (c2sp.org/tlog-proof@v1) of the entry about this call", False),
    CALL_HEADER: ("opens the entry's commitment to this call", False),
    RELEASE_HEADER: ("the id of the release's record", False),
    "Civic-Stream": ("`1`: the answer is a stream; its digest is in the record of the release", False),
    CHALLENGE_HEADER: ("`Signature` and its realm: the call needs a message signature", True),
    WANTED_HEADER: ("RFC 9421, section 5.1: the components to sign, and a nonce that may be used once", True),
    "Retry-After": ("seconds after which the call may be made again", False),
    REQUEST_ID_HEADER: ("the id of the request in the service's log; it is not signed", True),
}
_ANSWER = ("Content-Digest", "Signature-Input", "Signature", REQUEST_ID_HEADER)
_RELEASE = (RECEIPT_HEADER, CALL_HEADER, RELEASE_HEADER, "Civic-Stream")
_SCHEMES = {
    "Signature": "The Ed25519 signature, under the label of Signature-Input.",
    "Signature-Input": "What is signed: `@method`, `@target-uri`, `content-digest`, and `accept` and `idempotency-key` where they are sent; with "
    "`created`, `nonce` (16 to 128 characters) and `keyid` (`7:` and the public key in hex).",
    "Content-Digest": "`sha-256=:BASE64:` of the body, also of an empty one (RFC 9530).",
}
_LIMITED = ("429", "503")


class Words(BaseModel):
    """Title and next step in Chinese, and the detail if it has Chinese."""

    title: str
    next: str
    detail: str = ""


class ProblemDocument(BaseModel):
    """A refusal (RFC 9457). It has no data values; which members there are besides depends on the code."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="stable: docs/codes.md")
    next: str = Field(description="what to do")
    zh: Words
    pointer: str = Field(default="", description="where in the body or the query (RFC 6901)")
    member: str = Field(default="", description="the member of a signed message")
    hint: str = ""
    matches: list[str] = Field(default_factory=list, description="what may have been meant")
    receipt: str = Field(default="", description="of the entry about the refusal, where it is logged")
    call: str = Field(default="", description="opens the entry's commitment to this call")


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of an app; made once."""
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    refused = {
        (route.path_format, method.lower()): refusals_of(route.dependant)
        for route in cast(Iterator[APIRoute], iter_route_contexts(app.routes))
        if isinstance(cast(RouteContext, route).original_route, APIRoute)
        for method in route.methods or ()
    }
    for path, method, operation in operations(document):
        _complete(operation, path, method, refused[path, method])
        _exemplify(operation, examples().get(f"{method.upper()} {path}", {}))
    components = document["components"]
    components["examples"] = {
        code: {"summary": (problem := Problem(code).document())["title"], "value": problem}
        for code in sorted({code for _, _, one in operations(document) for code in codes_of(one)})
    }
    components["responses"] = _shared(document)
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["schemas"] |= _problem_schemas()
    components["securitySchemes"] = {
        name: {"type": "apiKey", "in": "header", "name": name, "description": what}
        for name, what in _SCHEMES.items()
    }
    components["headers"] = {
        name: {"description": what, "required": always, "schema": _TEXT}
        for name, (what, always) in _HEADERS.items()
    }
    components["parameters"] = {
        SEEN_HEADER: {
            "name": SEEN_HEADER,
            "in": "header",
            "description": "the newest head of the log that the caller has seen: a signed note in base64; another text is passed over",
            "schema": _TEXT,
        },
        REQUEST_ID_HEADER: {
            "name": REQUEST_ID_HEADER,
            "in": "header",
            "description": "an id of the request for the service's log, 8 to 64 letters, digits, `.`, `_` and `-`, which the answer repeats;"
            " another text is passed over, and an id made",
            "schema": _TEXT,
        },
    }
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of each operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _complete(operation: dict[str, Any], path: str, method: str, refused: tuple[str, ...]) -> None:
    """Complete an operation. ``refused``: the codes with which its dependencies refuse."""
    responses = operation["responses"]
    if CODES not in responses.get("422", {CODES: ()}):  # FastAPI's default; this service answers 400.
        del responses["422"]
    signed = any(SIGNATURE in scheme for scheme in operation.get("security", ()))
    shared = (
        *EVERY,
        *(WITH_BODY if method == "post" else ()),
        *(WITH_PATH if "{" in path else ()),
        *(("id.invalid",) if "parameters" in operation else ()),
        *refused,
    )
    for number, codes in by_status(shared).items():
        known = responses.setdefault(str(number), {"description": "", CODES: []})
        known[CODES] = sorted({*known[CODES], *codes})
    for status in FAULTS:
        responses.setdefault(status, {"description": "", CODES: []})
    for status, answer in responses.items():
        if CODES in answer:
            _refusal(answer, status)
        names = _ANSWER + (_RELEASE if path == "/v1/read" and status == "200" else ())
        names += ("Retry-After",) if status in _LIMITED else ()
        names += (CHALLENGE_HEADER, WANTED_HEADER) if status == "401" else ()
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    operation["responses"] = dict(sorted(responses.items()))
    if signed:
        every: dict[str, list[str]] = {name: [] for name in _SCHEMES}
        operation["security"] = [every if SIGNATURE in one else one for one in operation["security"]]
    for parameter in operation.setdefault("parameters", []):
        _without_null(parameter["schema"])
    for name in (SEEN_HEADER, REQUEST_ID_HEADER):
        operation["parameters"].append({"$ref": f"#/components/parameters/{name}"})


def codes_of(operation: dict[str, Any]) -> set[str]:
    """The codes with which an operation refuses, before `_shared` moved its refusals."""
    return {code for answer in operation["responses"].values() for code in answer.get(CODES, ())}


def _exemplify(operation: dict[str, Any], example: Mapping[str, Any]) -> None:
    """Add an example call of the operation with its answer, and for each other code the problem with its words."""
    values = example.get("path", {}) | example.get("query", {})
    for parameter in operation["parameters"]:
        if parameter.get("name") in values:
            parameter["example"] = values[parameter["name"]]
    if "body" in example:
        operation["requestBody"]["content"]["application/json"]["example"] = example["body"]
    answers = example.get("answers", {})
    for status, answer in operation["responses"].items():
        if CODES in answer:
            shown = {code: {"$ref": f"#/components/examples/{code}"} for code in answer[CODES]}
            if status in answers:
                shown[answers[status]["code"]] = {"value": answers[status]}
            answer["content"][PROBLEM]["examples"] = shown
        elif status in answers:
            kind = next(iter(answer["content"]))
            answer["content"][kind]["example"] = answers[status]


def _shared(document: dict[str, Any]) -> dict[str, Any]:
    """Move the refusals that several operations have in common to one place, to which each operation refers."""
    same: dict[str, list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            same[json.dumps(answer)].append((operation["responses"], status))
    found: dict[str, Any] = {}
    for text, places in same.items():
        answer = json.loads(text)
        if CODES in answer and len(places) > 1:
            status = places[0][1]
            name = (
                f"Refused{status}" + f"{chr(65 + sum(one.startswith(f'Refused{status}') for one in found))}"
            )
            found[name] = answer
            for responses, status in places:
                responses[status] = {"$ref": f"#/components/responses/{name}"}
    return found


def _without_null(schema: dict[str, Any]) -> None:
    """A parameter that is not sent is not null: a URL has no null."""
    match [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]:
        case [only]:
            del schema["anyOf"]
            schema |= only


def _refusal(answer: dict[str, Any], status: str) -> None:
    codes = ", ".join(f"`{code}`" for code in answer[CODES])
    answer["description"] = " ".join(filter(None, (FAULTS.get(status, ""), codes)))
    answer["content"] = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _problem_schemas() -> dict[str, Any]:
    schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "Problem": schema}
