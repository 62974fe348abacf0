"""The client of a Civic Ledger service: calls, acts, and the checks that make their answers evidence.

Every answer's signature and digest are verified by ``transport``; every receipt's entry, inclusion proof and
checkpoint here; every checkpoint against the newest one this client has seen, by ``memory``; that a receipt is about
what was just sent, by ``evidence``. What fails any of these checks is never returned.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from api.sdk.acts import ActDraft
from api.sdk.errors import AnswerRefused, RollbackDetected, ServiceProblem
from api.sdk.evidence import About, must_be_about
from api.sdk.heads import read_heads
from api.sdk.memory import CheckpointMemory
from api.sdk.reading import Asked, Reading, Released, denial_says
from api.sdk.transport import Answer, ServiceKey, Transport, items_of, part
from api.sdk.trust import Trust
from api.sdk.wire import CALL, IDEMPOTENCY_HEADER, digest_field
from api.sdk.witnesses import Watch, Witnesses
from ledger.audit.checkpoint import SignedCheckpoint
from ledger.audit.errors import NoteInvalid
from ledger.audit.merkle import ProofError
from ledger.audit.note import unb64
from ledger.audit.receipts import Receipt
from ledger.chain.signers import recover
from ledger.errors import LedgerError
from ledger.ids import ACTIVATION, asset_text, parse_asset

JSON = "application/json"
MOST_DATA = 1 << 30
"""The most data that one `Civic.read` holds in memory."""

RECORDED = "recorded"
"""The state of an act that stands on chain and in the log."""
ADMITTED = "chain:department:admitted"


class Civic:
    """A connection to one service as one department (or, without a key, as the public). Thread-safe."""

    def __init__(
        self,
        url: str,
        trust: Trust,
        state: Path,
        key: ServiceKey | None = None,
        *,
        timeout_s: float = 60.0,
        watch: Watch | None = None,
    ) -> None:
        """``watch`` says how old cosignatures may be and where the witnesses of the trust file answer."""
        self.trust = trust
        self.memory = CheckpointMemory(state, trust.log_key)
        self.memory.must_not_be_forked()
        self.witnesses = Witnesses(trust, watch or Watch(), self.memory, state)
        self.transport = Transport(url, trust.gateway_key, key, timeout_s=timeout_s, seen=self._seen_note)

    def __enter__(self) -> Civic:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.transport.close()
        self.witnesses.close()

    # -- what anybody may see ---------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Chain, log and version of the service; its checkpoint is verified and remembered, and held against the
        witnesses (``witnesses.state()``)."""
        seen = self._seen_size()
        document = self._get("/v1/status")
        log = part(document, "log", dict)
        checkpoint = part(log, "checkpoint", str)
        self._accept(checkpoint, seen, log.get("keys", ()))
        return document

    def compare_heads(self, document: object) -> list[SignedCheckpoint]:
        """Hold heads that others saw (`CheckpointMemory.heads`) against the log seen here, and remember the newest; the
        service proves that they are of one log. ForkFound where they are not, HeadsInvalid for an unusable document."""
        heads, keys = read_heads(document, self.trust)
        return [self.memory.accept(head, self.consistency, keys=keys) for head in heads]

    def _accept(self, checkpoint: str, seen: int, keys: Sequence[Any]) -> None:
        """Take a head for the log's: it extends what was seen, and the witnesses see this log too."""
        self.memory.accept(checkpoint, self.consistency, at_least=seen, keys=keys)
        self.witnesses.check(self._cosigned, self.consistency)

    def _cosigned(self) -> list[str]:
        found = part(self._get("/v1/log/cosigned"), "checkpoints", list)
        if not all(isinstance(item, str) for item in found):
            raise AnswerRefused("the answer holds no checkpoints")
        return found

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The RFC 6962 consistency proof between two sizes of the log."""
        try:
            document = self._get("/v1/log/consistency", {"old": old, "new": new})
        except ServiceProblem as refused:
            if refused.code != "request.size":
                raise
            raise RollbackDetected(
                f"the service cannot prove that its log of {new} entries extends the one of {old}: {refused.message}"
            ) from refused
        try:
            return [unb64(item, "a proof hash") for item in part(document, "proof", list)]
        except (NoteInvalid, AttributeError) as malformed:
            raise AnswerRefused("the answer holds no consistency proof") from malformed

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
        answer = self._post("/v1/acts", body, params={"wait": str(wait_s)}).json()
        digest = "0x" + ActDraft(kind, message).digest(self.trust).hex()
        if kind != "Admission":
            return self._recorded(answer, (digest,))
        # The council's and the seats' signatures are two acts over one message; with the seats' it is for the second.
        seated = isinstance(signatures, Mapping) and bool(signatures.get("possession"))
        says = {"type": ADMITTED} if seated else {}
        return self._recorded(answer, (digest, digest + ACTIVATION), says)

    def act_status(self, digest: str) -> dict[str, Any]:
        """What became of an act."""
        return self._recorded(self._get(f"/v1/acts/{digest}"), (digest.lower(),))

    def accept(self, grant: str, signature: str) -> dict[str, Any]:
        """The grantee's acceptance: an officer's signature over the grant's own Terms digest."""
        answer = self._post(f"/v1/grants/{grant}/acceptance", {"signature": signature})
        terms = ActDraft("Terms", part(self.grant(grant), "terms", dict))
        try:
            same = terms.id == grant.lower()
        except (LedgerError, ValueError, KeyError, TypeError) as malformed:
            raise AnswerRefused("the terms that the service shows are none") from malformed
        if not same:
            raise AnswerRefused("the terms that the service shows are not those of the grant")
        says = {
            "type": "department:grant:accepted",
            "grant": terms.id,
            "officer": recover(terms.digest(self.trust), bytes.fromhex(signature.removeprefix("0x"))),
        }
        return self._with_receipt(answer, About(says))

    # -- calls of a department --------------------------------------------------------------------------

    def request_access(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask a provider for access; the answer has the request's id and a receipt."""
        body = {"id": str(uuid4())} | dict(request)
        answer = self._post("/v1/requests", body)
        says: dict[str, object] = {
            "type": ("gateway:request:submitted", "gateway:request:repeated"),
            "asset": asset_text(parse_asset(body["asset"])),
            "purpose": body["purpose"],
            "facts.request": str(UUID(body["id"])),
        }
        return self._with_receipt(answer, About(says, answer.sent))

    def requests(self, **filters: str | int) -> Iterator[dict[str, Any]]:
        """The requests this department made or has to answer."""
        return self._pages("/v1/requests", filters)

    def answer_request(self, request_id: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse or withdraw a request (``{"state": "refused", "reason": ...}``)."""
        given = self._post(f"/v1/requests/{request_id}/answer", answer)
        says: dict[str, object] = {
            "type": (f"gateway:request:{answer['state']}", "gateway:request:repeated"),
            "facts.request": str(UUID(request_id)),
        }
        if answer.get("reason"):
            says["reasons"] = [answer["reason"]]
        return self._with_receipt(given, About(says, given.sent))

    def dataset_source(self, asset: str) -> dict[str, Any]:
        """Digest and size of a dataset's file with their salt: for its holder, processor, operator and city auditors.

        AnswerRefused when they are not what the catalogue entry commits to.
        """
        from api.sdk.drafts import document_hash

        source = self._get(f"/v1/datasets/{asset}/source")
        named = part(part(self.dataset(asset), "metadata", dict), "source", dict).get("opening")
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
            answer = stream.answer()
        says = {"type": "department:source:received", "asset": asset_text(parse_asset(asset))}
        return self._with_receipt(self.checked(answer), About(says, answer.sent))

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
        most_bytes: int = MOST_DATA,
    ) -> Released:
        """Read what was granted, of at most so many bytes, into memory; `read_stream` reads more. A denial raises
        ServiceProblem with its reasons and its own receipt."""
        with self.read_stream(
            asset,
            purpose,
            query,
            action=action,
            grant=grant,
            media_type=media_type,
            attributes=attributes,
            idempotency_key=idempotency_key,
        ) as reading:
            body = reading.stream.read(most_bytes)
            release = reading.finish()
            kind = reading.stream.headers.get("content-type", media_type)
            return Released(body, kind, reading.receipt, release, reading.call)

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
    ) -> Iterator[Reading]:
        """The same as a stream (``reading.stream.chunks()``).

        What arrived is proven only by ``reading.finish()``, after the last byte. Whoever reads to the end and forgets
        it is not spared: leaving the block makes the check, and raises AnswerRefused. Who leaves before the end has
        bytes that nothing proves.
        """
        asked = Asked(asset, purpose, query, action, grant, attributes, idempotency_key)
        if (
            self.memory.seen is not None
        ):  # a log that nobody witnesses should not charge this department first
            self.witnesses.check(self._cosigned, self.consistency)
        seen = self._seen_size()
        headers = {"Content-Type": JSON, "Accept": media_type}
        if idempotency_key is not None:
            headers[IDEMPOTENCY_HEADER] = idempotency_key
        with self.transport.open(
            "POST", "/v1/read", body=_encode(asked.document()), headers=headers
        ) as stream:
            if stream.status >= 400:
                self.checked(stream.answer(), seen, asked)
            reading = Reading(self, stream, asked, seen)
            yield reading
            if reading.ended:
                reading.finish()

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
        asked = Asked(asset, purpose, query, action, grant, attributes)
        return self._post("/v1/read", asked.document(dry_run=True)).json()

    def release(self, release_id: str) -> dict[str, Any]:
        """The record of a release: state and counts, and for its own department the entry of its outcome, as the
        gateway gives them. `read` and ``reading.finish()`` check them against the log and the data."""
        return self._get(f"/v1/releases/{quote(release_id, safe='')}")

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
        given = self._get(f"/v1/audit/entries/{index}/receipt", params)
        receipt = self.verified(part(given, "receipt", str), seen)
        if receipt.index != index:
            raise AnswerRefused(f"entry {index} was asked for, the receipt is of entry {receipt.index}")
        return receipt

    def readers(self, asset: str, subject: str) -> dict[str, Any]:
        """All pages of `readers_page` in one."""
        told = self.readers_page(asset, subject)
        lists = {name: items_of(told, name) for name in ("named", "could_contain", "unknown")}
        cursor = None
        while (cursor := _following(told, cursor)) is not None:
            told = self.readers_page(asset, subject, cursor=cursor)
            for name in ("named", "could_contain"):
                lists[name] += items_of(told, name)
            # What is said of the dataset as a whole stands on every page.
            lists["unknown"] += [one for one in items_of(told, "unknown") if "index" in one]
        return told | lists

    def openings(self, index: int) -> dict[str, str]:
        """The disclosures behind an entry's commitments, by name; erased ones are absent."""
        return part(self._get(f"/v1/audit/entries/{index}/openings"), "disclosures", dict)

    def export(self, path: Path) -> dict[str, Any]:
        """Fetch the whole log as a bundle that ``civic audit verify`` checks offline; gives its size and digest."""
        with self.transport.open("GET", "/v1/audit/bundle") as stream:
            if stream.status >= 400:
                self.checked(stream.answer())
            with path.open("wb") as file:
                for chunk in stream.chunks():
                    file.write(chunk)
            return {"path": str(path), "bytes": stream.size, "sha256": stream.sha256}

    # -- how answers are checked ------------------------------------------------------------------------

    def _seen_size(self) -> int:
        return self.memory.seen.size if self.memory.seen else 0

    def _seen_note(self) -> str | None:
        """The newest head seen, for the service: it shows a service that was restored that it is behind."""
        return None if self.memory.seen is None else str(self.memory.seen)

    def _get(self, path: str, params: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        return self.checked(self.transport.call("GET", path, params=params)).json()

    def _post(self, path: str, body: Mapping[str, Any], params: Mapping[str, str] | None = None) -> Answer:
        seen = self._seen_size()
        answer = self.transport.call(
            "POST", path, body=_encode(body), headers={"Content-Type": JSON}, params=params
        )
        return self.checked(answer, seen)

    def _pages(self, path: str, filters: Mapping[str, str | int] | None = None) -> Iterator[dict[str, Any]]:
        params = dict(filters or {})
        while True:
            page = self._get(path, params)
            yield from items_of(page, "items")
            cursor = _following(page, params.get("cursor"))
            if cursor is None:
                return
            params["cursor"] = cursor

    def checked(self, answer: Answer, seen: int = 0, asked: Asked | None = None) -> Answer:
        """The answer, or ServiceProblem when it is a refusal.

        A denial carries the receipt of its own entry, which is about this call (and, when it is known what was
        ``asked``, about that); AnswerRefused when it does not.
        """
        if answer.status < 400:
            return answer
        document = answer.json()
        receipt = None
        if document.get("decision") is not None or "receipt" in document:
            receipt = self.verified(str(document.get("receipt", "")), seen)
            says = denial_says(document) | (asked.says() if asked else {})
            must_be_about(receipt, About(says, answer.sent), document.get(CALL))
        raise ServiceProblem(answer.status, document, receipt)

    def _with_receipt(self, answer: Answer, about: About) -> dict[str, Any]:
        """The answer's document, with the entry of its receipt, which is about this."""
        return self._entered(answer.json(), about)

    def _entered(self, document: dict[str, Any], about: About) -> dict[str, Any]:
        receipt = self.verified(str(document.get("receipt", "")))
        must_be_about(receipt, about, document.get(CALL))
        document["entry"] = receipt.event
        return document

    def _recorded(
        self, document: dict[str, Any], acts: tuple[str, ...], says: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """What became of one of these acts; once it is recorded, with its receipt, which names the act."""
        act = document.get("digest")
        if act not in acts:
            raise AnswerRefused("the answer is about another act")
        if isinstance(proposal := document.get("proposal"), dict):
            document["proposal"] = self._recorded(proposal, (str(act).removesuffix(ACTIVATION),))
        if document.get("state") != RECORDED and "receipt" not in document:
            return document
        return self._entered(document, About({"facts.act": act, **(says or {})}))

    def verified(self, text: str, seen: int = 0) -> Receipt:
        """A receipt that holds: its entry stands in the log that this client has seen. What it is about is for
        ``evidence``."""
        try:
            receipt = Receipt.parse(text)
            receipt.check_inclusion()
            entry = receipt.event
        except (NoteInvalid, ProofError, ValueError) as refused:
            raise AnswerRefused(f"the receipt does not hold: {refused}") from refused
        if not isinstance(entry, dict):
            raise AnswerRefused("the receipt does not hold an entry")
        self._accept(receipt.checkpoint, seen, receipt.keys)
        return receipt


def _following(page: Mapping[str, Any], before: str | int | None) -> str | None:
    """The cursor of the page after this one, None behind the last; AnswerRefused where it leads in a circle."""
    if not page.get("next"):
        return None
    cursor = part(page, "next", str)
    if cursor == before:
        raise AnswerRefused("the answer says that this page comes after itself")
    return cursor


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _chunks(file: Any) -> Iterator[bytes]:
    while chunk := file.read(1 << 20):
        yield chunk
