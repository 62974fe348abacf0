"""The client of a Civic Ledger service: calls, acts, and the checks that make their answers evidence.

Every answer's signature and digest are verified by ``transport``; every receipt's entry, inclusion proof and
checkpoint here; every checkpoint against the newest one this client has seen, by ``memory``. What fails any of
these checks is never returned.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from api.sdk.errors import AnswerRefused, RollbackDetected, ServiceProblem
from api.sdk.memory import CheckpointMemory
from api.sdk.transport import Answer, ServiceKey, Stream, Transport
from api.sdk.trust import Trust
from api.sdk.wire import IDEMPOTENCY_HEADER, RECEIPT_HEADER, RELEASE_HEADER, digest_field
from ledger.audit.errors import NoteInvalid
from ledger.audit.merkle import ProofError
from ledger.audit.receipts import Receipt

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Released:
    """Data that were released, with the receipt of the decision and the signed record of the release."""

    body: bytes = field(repr=False)
    media_type: str
    receipt: Receipt
    release: Mapping[str, Any]

    def rows(self) -> list[dict[str, Any]]:
        """The rows of a JSON release."""
        return cast(list[dict[str, Any]], json.loads(self.body))


class Civic:
    """A connection to one service as one department (or, without a key, as the public). Thread-safe."""

    def __init__(
        self, url: str, trust: Trust, state: Path, key: ServiceKey | None = None, *, timeout_s: float = 60.0
    ) -> None:
        self.trust = trust
        self.memory = CheckpointMemory(state, trust.log_key)
        self.transport = Transport(url, trust.gateway_key, key, timeout_s=timeout_s)

    def __enter__(self) -> Civic:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.transport.close()

    # -- what anybody may see ---------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Chain, log and version of the service; its checkpoint is verified and remembered."""
        seen = self._seen_size()
        document = self._get("/v1/status")
        log = document["log"]
        self.memory.accept(str(log["checkpoint"]), self.consistency, at_least=seen, keys=log.get("keys", ()))
        return document

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The RFC 6962 consistency proof between two sizes of the log."""
        try:
            document = self._get("/v1/log/consistency", {"old": old, "new": new})
        except ServiceProblem as refused:
            raise RollbackDetected(
                f"the service cannot prove that its log of {new} entries extends the one of {old}: {refused.message}"
            ) from refused
        return [base64.b64decode(item) for item in document["proof"]]

    def departments(self) -> Iterator[dict[str, Any]]:
        """Every department, page by page."""
        return self._pages("/v1/departments")

    def department(self, department: int) -> dict[str, Any]:
        """One department with its officers and keys."""
        return self._get(f"/v1/departments/{department}")

    def datasets(self, **filters: str | int) -> Iterator[dict[str, Any]]:
        """The catalogue, page by page."""
        return self._pages("/v1/datasets", filters)

    def dataset(self, asset: str) -> dict[str, Any]:
        """One dataset with its catalogue entry."""
        return self._get(f"/v1/datasets/{asset}")

    def grants(self, **filters: str | int) -> Iterator[dict[str, Any]]:
        """The transparency register: who may read what, for which purpose, until when."""
        return self._pages("/v1/grants", filters)

    def grant(self, grant: str) -> dict[str, Any]:
        """One grant with its signed terms and its agreement."""
        return self._get(f"/v1/grants/{grant}")

    # -- acts -------------------------------------------------------------------------------------------

    def act(
        self,
        kind: str,
        message: Mapping[str, Any],
        signatures: Sequence[str] | Mapping[str, Sequence[str]],
        *,
        documents: Sequence[Mapping[str, Any]] = (),
        arguments: Mapping[str, Any] | None = None,
        request: str | None = None,
        wait_s: float = 20.0,
    ) -> dict[str, Any]:
        """Hand in a signed act and wait until it is recorded; its receipt is verified.

        The answer has ``digest``, ``state`` and, once recorded, ``receipt`` (text) and ``entry`` (object).
        Sent twice, an act changes state once and answers the same.
        """
        body: dict[str, Any] = {
            "type": kind,
            "message": dict(message),
            "signatures": dict(signatures) if isinstance(signatures, Mapping) else list(signatures),
            "documents": list(documents),
        }
        if arguments:
            body["arguments"] = dict(arguments)
        if request is not None:
            body["request"] = request
        return self._with_receipt(self._post("/v1/acts", body, params={"wait": str(wait_s)}))

    def act_status(self, digest: str) -> dict[str, Any]:
        """What became of an act."""
        return self._with_receipt(self._get(f"/v1/acts/{digest}"))

    def accept(self, grant: str, signature: str) -> dict[str, Any]:
        """The grantee's acceptance: an officer's signature over the grant's own Terms digest."""
        return self._with_receipt(self._post(f"/v1/grants/{grant}/acceptance", {"signature": signature}))

    # -- calls of a department --------------------------------------------------------------------------

    def request_access(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask a provider for access; the answer has the request's id and a receipt."""
        return self._with_receipt(self._post("/v1/requests", request))

    def requests(self, **filters: str | int) -> Iterator[dict[str, Any]]:
        """The requests this department made or has to answer."""
        return self._pages("/v1/requests", filters)

    def answer_request(self, request_id: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse or withdraw a request (``{"state": "refused", "reason": ...}``)."""
        return self._with_receipt(self._post(f"/v1/requests/{request_id}/answer", answer))

    def dataset_source(self, asset: str) -> dict[str, Any]:
        """Digest and size of a dataset's file with their salt: for its holder, processor, operator and city auditors.

        AnswerRefused when they are not what the catalogue entry commits to.
        """
        from api.sdk.drafts import document_hash

        source = self._get(f"/v1/datasets/{asset}/source")
        named = self.dataset(asset)["metadata"]["source"].get("opening")
        opening: dict[str, Any] = {
            name: source[name] for name in ("sha256", "bytes", "salt") if name in source
        }
        if named is not None and document_hash(opening) != f"0x{named}":
            raise AnswerRefused("the digest is not the one that the catalogue entry commits to")
        return source

    def upload(self, asset: str, path: Path) -> dict[str, Any]:
        """Hand in the file that the register entry names by its SHA-256."""
        sha = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                sha.update(chunk)
        with (
            path.open("rb") as file,
            self.transport.open(
                "PUT",
                f"/v1/datasets/{asset}/source",
                body=_chunks(file),
                body_digest=digest_field(sha.digest()),
                headers={
                    "Content-Length": str(path.stat().st_size),
                    "Content-Type": "application/octet-stream",
                },
            ) as stream,
        ):
            answer = Answer(stream.status, stream.headers, stream.read())
        return self._with_receipt(self.checked(answer))

    def read(
        self,
        asset: str,
        purpose: str,
        query: Mapping[str, Any] | None = None,
        *,
        action: str = "read",
        grant: str | None = None,
        media_type: str = JSON,
        attributes: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Released:
        """Read what was granted. A denial raises ServiceProblem with its reasons and its own receipt."""
        with self.read_stream(
            asset,
            purpose,
            query,
            action=action,
            grant=grant,
            media_type=media_type,
            attributes=attributes,
            idempotency_key=idempotency_key,
        ) as (stream, receipt):
            body = stream.read()
            release = self.release(stream.headers[RELEASE_HEADER.lower()])
            if release["state"] != "done" or release["digest"] != hashlib.sha256(body).hexdigest():
                raise AnswerRefused("the data that arrived are not those of the signed release record")
            return Released(body, stream.headers.get("content-type", media_type), receipt, release)

    @contextmanager
    def read_stream(
        self,
        asset: str,
        purpose: str,
        query: Mapping[str, Any] | None = None,
        *,
        action: str = "read",
        grant: str | None = None,
        media_type: str = JSON,
        attributes: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Iterator[tuple[Stream, Receipt]]:
        """The same as a stream; compare ``stream.sha256`` with ``release(id)["digest"]`` when it has ended."""
        seen = self._seen_size()
        headers = {"Content-Type": JSON, "Accept": media_type}
        if idempotency_key is not None:
            headers[IDEMPOTENCY_HEADER] = idempotency_key
        document = _read_document(asset, purpose, query, action, grant, attributes, dry_run=False)
        with self.transport.open("POST", "/v1/read", body=_encode(document), headers=headers) as stream:
            if stream.status >= 400:
                self.checked(Answer(stream.status, stream.headers, stream.read()), seen)
            receipt = self._receipt(_unheader(stream.headers.get(RECEIPT_HEADER.lower(), "")), seen)
            self._must_be_of(receipt, asset, purpose)
            yield stream, receipt

    def dry_run(
        self,
        asset: str,
        purpose: str,
        query: Mapping[str, Any] | None = None,
        *,
        action: str = "read",
        grant: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Decide and explain without charge and without data."""
        return self._post(
            "/v1/read", _read_document(asset, purpose, query, action, grant, attributes, dry_run=True)
        )

    def release(self, release_id: str) -> dict[str, Any]:
        """The record of a release: state, counts and digest, signed by the gateway."""
        return self._get(f"/v1/releases/{release_id}")

    # -- the auditor ------------------------------------------------------------------------------------

    def entries(self, **filters: str | int) -> Iterator[dict[str, Any]]:
        """Search the log (``department``, ``asset``, ``grant``, ``actor``, ``purpose``, ``decision``, ``since`` ...)."""
        return self._pages("/v1/audit/entries", filters)

    def entries_page(self, **filters: str | int) -> dict[str, Any]:
        """One page of `entries`: ``items``, and ``next``, which as ``cursor`` asks for the page after it (or None)."""
        return self._get("/v1/audit/entries", filters)

    def readers_page(self, asset: str, subject: str, **filters: str | int) -> dict[str, Any]:
        """One page of who read one person's record: ``named`` are the entries whose query named this value of the
        asset's person key, ``could_contain`` the releases whose filters do not exclude the person, ``unknown`` what
        cannot be told and why; ``next`` as in `entries_page`."""
        return self._get("/v1/audit/readers", {"asset": asset, "subject": subject, **filters})

    def receipt(self, index: int, *, anchored: bool = False) -> Receipt:
        """The receipt of any entry: under the newest checkpoint, or ``anchored`` with the proof up to a block header."""
        seen = 0 if anchored else self._seen_size()
        params = {"anchored": "true"} if anchored else None
        return self._receipt(self._get(f"/v1/audit/entries/{index}/receipt", params)["receipt"], seen)

    def readers(self, asset: str, subject: str) -> dict[str, Any]:
        """All pages of `readers_page` in one."""
        told = self.readers_page(asset, subject)
        while told["next"] is not None:
            following = self.readers_page(asset, subject, cursor=told["next"])
            for name in ("named", "could_contain"):
                told[name] += following[name]
            # What is said of the dataset as a whole stands on every page.
            told["unknown"] += [one for one in following["unknown"] if "index" in one]
            told["next"] = following["next"]
        return told

    def openings(self, index: int) -> dict[str, str]:
        """The disclosures behind an entry's commitments, by name; erased ones are absent."""
        return dict(self._get(f"/v1/audit/entries/{index}/openings")["disclosures"])

    def export(self, path: Path) -> dict[str, Any]:
        """Fetch the whole log as a bundle that ``civic audit verify`` checks offline; gives its size and digest."""
        with self.transport.open("GET", "/v1/audit/bundle") as stream:
            if stream.status >= 400:
                self.checked(Answer(stream.status, stream.headers, stream.read()))
            with path.open("wb") as file:
                for chunk in stream.chunks():
                    file.write(chunk)
            return {"path": str(path), "bytes": stream.size, "sha256": stream.sha256}

    # -- how answers are checked ------------------------------------------------------------------------

    def _seen_size(self) -> int:
        return self.memory.seen.size if self.memory.seen else 0

    def _get(self, path: str, params: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        return self.checked(self.transport.call("GET", path, params=params)).json()

    def _post(
        self, path: str, body: Mapping[str, Any], params: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        seen = self._seen_size()
        answer = self.transport.call(
            "POST", path, body=_encode(body), headers={"Content-Type": JSON}, params=params
        )
        return self.checked(answer, seen).json()

    def _pages(self, path: str, filters: Mapping[str, str | int] | None = None) -> Iterator[dict[str, Any]]:
        params = dict(filters or {})
        while True:
            page = self._get(path, params)
            yield from page["items"]
            if not page.get("next"):
                return
            params["cursor"] = page["next"]

    def checked(self, answer: Answer, seen: int = 0) -> Answer:
        """The answer, or ServiceProblem when it is a refusal; a refusal's receipt is verified first."""
        if answer.status < 400:
            return answer
        document = answer.json()
        receipt = None
        if text := document.get("receipt"):
            receipt = self._receipt(str(text), seen)
        raise ServiceProblem(answer.status, document, receipt)

    def _with_receipt(self, answer: Answer | dict[str, Any]) -> dict[str, Any]:
        document = answer.json() if isinstance(answer, Answer) else answer
        if text := document.get("receipt"):
            document["entry"] = self._receipt(str(text), 0).event
        return document

    def _must_be_of(self, receipt: Receipt, asset: str, purpose: str) -> None:
        """A valid receipt of somebody else's call is not a receipt of this one."""
        entry, key = receipt.event, self.transport.key
        said = (entry.get("service"), entry.get("asset"), entry.get("purpose"), entry.get("decision"))
        if said != (key.key_id if key else None, asset, purpose, "permit"):
            raise AnswerRefused("the receipt is of another call")

    def _receipt(self, text: str, seen: int) -> Receipt:
        try:
            receipt = Receipt.parse(text)
            receipt.check_inclusion()
            _ = receipt.event
        except (NoteInvalid, ProofError) as refused:
            raise AnswerRefused(f"the receipt does not hold: {refused.message}") from refused
        self.memory.accept(receipt.checkpoint, self.consistency, at_least=seen, keys=receipt.keys)
        return receipt


def _read_document(
    asset: str,
    purpose: str,
    query: Mapping[str, Any] | None,
    action: str,
    grant: str | None,
    attributes: Mapping[str, Any] | None,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "asset": asset,
        "purpose": purpose,
        "action": action,
        "query": dict(query or {}),
    }
    if grant is not None:
        document["grant"] = grant
    if attributes:
        document["attributes"] = dict(attributes)
    if dry_run:
        document["dry_run"] = True
    return document


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _unheader(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError as malformed:
        raise AnswerRefused("the answer carries no receipt") from malformed


def _chunks(file: Any) -> Iterator[bytes]:
    while chunk := file.read(1 << 20):
        yield chunk
