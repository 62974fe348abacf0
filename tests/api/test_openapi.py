"""The description of the interface is whole: every operation, every refusal, every way to sign."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import jsonschema_rs
import pytest

from api.advice.client import CLIENT
from api.advice.files import FILES
from api.app import create_app
from api.http.described import CODES
from api.http.openapi import operations
from api.http.problems import advice_for
from api.runtime.settings import Settings
from docs.codes import codes

NEVER_ANSWERED = {
    "audit.no_entry", "client.error", "command.failed", "file.invalid", "heads.invalid", "keystore.invalid",
    "not-found.key", "profile.invalid", "word.unknown",
    "chain.not_restored",
    "membership.invalid", "record.invalid", "schema.invalid", "source.invalid", "release.state",
}  # fmt: skip
"""Codes below 500 that only commands show, or that are internal: no call can cause them."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(SimpleNamespace(settings=Settings())).openapi()  # type: ignore[arg-type] - described, not served


def refusals(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, list[str]]:
    """The codes of an operation by status."""
    shared = document["components"]["responses"]
    answers = {
        status: shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
        for status, answer in operation["responses"].items()
    }
    return {status: answer[CODES] for status, answer in answers.items() if CODES in answer}


def test_every_code_that_a_call_can_bring_about_is_described(document: dict[str, Any]) -> None:
    said = {
        code
        for _, _, operation in operations(document)
        for some in refusals(document, operation).values()
        for code in some
    }
    every = {code for code in codes() if advice_for(code).status < 500}
    assert every - said - CLIENT.keys() - FILES.keys() == NEVER_ANSWERED


def test_every_refusal_is_described_under_the_status_of_its_code(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status, some in refusals(document, operation).items():
            assert {advice_for(code).status for code in some} <= {int(status)}, (method, path)
        assert "422" not in operation["responses"] or refusals(document, operation)["422"]


def test_what_is_signed_says_so(document: dict[str, Any]) -> None:
    """A call that can be refused for its signature has the three headers of the security scheme."""
    for path, method, operation in operations(document):
        signed = "401" in operation["responses"]
        schemes = [scheme for scheme in operation.get("security", ()) if scheme]
        assert bool(schemes) == signed, (method, path)
        assert all(set(one) == {"Signature", "Signature-Input", "Content-Digest"} for one in schemes)
        if signed:
            answer = operation["responses"]["401"]
            if "$ref" in answer:
                answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
            assert {"WWW-Authenticate", "Accept-Signature"} <= answer["headers"].keys(), (method, path)


def test_every_operation_has_a_name_and_a_form_of_its_answer(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for path, method, operation in operations(document):
        for kind, answer in operation["responses"]["200"]["content"].items():
            assert answer["schema"], (method, path, kind)
        for parameter in operation["parameters"]:
            assert "$ref" in parameter or parameter["schema"].get("type"), (method, path, parameter)


def contents(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where, the media type, and what the description says of it: of every body and answer."""
    shared = document["components"]["responses"]
    for path, method, operation in operations(document):
        whole = {"body": operation.get("requestBody", {}), **operation["responses"]}
        for part, one in whole.items():
            found = shared[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
            for kind, content in found.get("content", {}).items():
                yield f"{method.upper()} {path} {part}", kind, content


def test_every_json_body_and_answer_has_a_whole_example(document: dict[str, Any]) -> None:
    missing = [
        place
        for place, kind, content in contents(document)
        if kind == "application/json" and "example" not in content
    ]
    assert missing == []


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    components = document["components"]
    seen = 0
    for place, _, content in contents(document):
        form = jsonschema_rs.Draft202012Validator(
            {**content["schema"], "components": components}, validate_formats=True
        )
        shown = {"": {"value": content["example"]}} if "example" in content else content.get("examples", {})
        for name, one in shown.items():
            value = components["examples"][name]["value"] if "$ref" in one else one["value"]
            assert form.is_valid(value), (place, name, next(form.iter_errors(value)).message)
            seen += 1
    assert seen > 500


def test_every_example_of_a_parameter_fits_it(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for parameter in operation["parameters"]:
            if "example" in parameter:
                form = jsonschema_rs.Draft202012Validator(parameter["schema"])
                assert form.is_valid(parameter["example"]), (method, path, parameter["name"])


def test_every_code_of_a_refusal_is_shown_with_its_words(document: dict[str, Any]) -> None:
    shown = document["components"]["examples"]
    for place, kind, content in contents(document):
        for code, one in content.get("examples", {}).items():
            problem = shown[code]["value"] if "$ref" in one else one["value"]
            assert kind == "application/problem+json"
            assert (problem["code"], problem["status"]) == (code, advice_for(code).status), place
            assert problem["title"] == advice_for(code).title
            assert problem["zh"]["title"] not in ("", problem["title"]), code
