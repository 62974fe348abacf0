"""A client that uses only the service's description and accepts only described answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import requests
import schemathesis
from schemathesis.schemas import APIOperation, BaseSchema

from api.http.described import CODES
from api.sdk.transport import ServiceKey
from tests.simulators.signed_session import SignedBy


@dataclass
class DescribedService:
    """Calls operations by their label (``GET /v1/grants/{grant_id}``)."""

    url: str

    @cached_property
    def schema(self) -> BaseSchema:
        return schemathesis.openapi.from_url(f"{self.url}/openapi.json")

    def operation(self, label: str) -> APIOperation[Any, Any, Any]:
        found = self.schema.find_operation_by_label(label)
        assert found is not None, label
        return found

    def call(
        self, label: str, key: ServiceKey | None = None, *, path: dict[str, Any] | None = None, **request: Any
    ) -> requests.Response:
        """Check that an answer has the form that the description gives for its status; AssertionError or a
        failure of Schemathesis otherwise."""
        method, _, template = label.partition(" ")
        answer = requests.request(
            method, self.url + template.format(**path or {}), auth=SignedBy(key), timeout=30, **request
        )
        operation = self.operation(label)
        described = operation.responses.find_by_status_code(answer.status_code)
        assert described is not None, (label, answer.status_code, answer.text)
        assert answer.headers["Content-Type"].partition(";")[0] in described.definition["content"], label
        if answer.status_code >= 400:
            assert answer.json()["code"] in described.definition[CODES], (label, answer.text)
        operation.validate_response(answer)
        return answer
