"""The client of a Civic Ledger service: acts, calls and queries. `session` checks the service's answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from api.protocol.http_signatures import IDEMPOTENCY_HEADER, digest_field
from api.sdk.acts import ActDraft
from api.sdk.errors import AnswerRefused
from api.sdk.evidence import About
from api.sdk.reading import Asked, Reading, Released
from api.sdk.session import JSON, Session, encode, following
from api.sdk.transport import items_of, part
from ledger.audit.formats.source_parts import opening_of
from ledger.audit.verify.receipts import Receipt
from ledger.chain.signers import recover
from ledger.errors import LedgerError
from ledger.ids import ACTIVATION, asset_text, parse_asset

MOST_DATA = 1 << 30
"""The limit of bytes that one `Civic.read` holds in memory."""

ADMITTED = "chain:department:admitted"


class Civic(Session):
    """The calls of one service, made as one department (or, without a key, as the public). Thread-safe."""

    # -- public data --------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Chain, log and version of the service; its checkpoint is verified, remembered, and compared with the
        witnesses (``witnesses.state()``)."""
        seen = self._seen_size()
        document = self._get("/v1/status")
        log = part(document, "log", dict)
        checkpoint = part(log, "checkpoint", str)
        self._accept(checkpoint, seen, log.get("keys", ()))
        return document

    def council(self) -> dict[str, Any]:
        """The council: ``members``, ``threshold``, ``guardian``, and the ``epoch`` that its messages name."""
        return dict(part(self.status(), "council", dict))

    def council_epoch(self) -> int:
        """The epoch of the council in office."""
        return part(self.council(), "epoch", int)

    def departments(self) -> Iterator[dict[str, Any]]:
        """Every department, page by page."""
        return self._pages("/v1/departments")

    def department(self, department: int) -> dict[str, Any]:
        """One department with its officers and keys."""
        return self._get(f"/v1/departments/{department}")

    def datasets(self, **filters: str | int) -> Iterator[dict[str, Any]]:
        """The catalogue, page by page."""
        return self._pages("/v1/datasets", filters)

    def dataset(self, asset: str, version: int | None = None) -> dict[str, Any]:
        """One dataset with its catalogue entry; with ``version`` its state at that version."""
        params = None if version is None else {"version": version}
        return self._get(f"/v1/datasets/{asset}", params)

    def grants(self, **filters: str | int) -> Iterator[dict[str, Any]]:
        """The transparency register: who may read what, for which purpose, until when."""
        return self._pages("/v1/grants", filters)

    def grant(self, grant: str) -> dict[str, Any]:
        """One grant with its signed terms and its agreement."""
        return self._get(f"/v1/grants/{grant}")

    def conditions(self, **filters: str | int) -> Iterator[dict[str, Any]]:
        """Conditions outside the chain on which grants depend, page by page; ``keeper`` is a filter."""
        return self._pages("/v1/conditions", filters)

    def condition(self, condition: str) -> dict[str, Any]:
        """One condition (``3.1``) with the grants that are bound to it."""
        return self._get(f"/v1/conditions/{condition}")

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
        # The council's and the seats' signatures are two acts over one message; with the seats' signatures it is the
        # second act.
        seated = isinstance(signatures, Mapping) and bool(signatures.get("possession"))
        says = {"type": ADMITTED} if seated else {}
        return self._recorded(answer, (digest, digest + ACTIVATION), says)

    def act_status(self, digest: str, *, wait_s: float = 0.0) -> dict[str, Any]:
        """The state of an act, once it is recorded or after ``wait_s`` seconds (60 at most)."""
        params = {"wait": str(wait_s)} if wait_s else None
        return self._recorded(self._get(f"/v1/acts/{digest}", params=params), (digest.lower(),))

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
        """The requests that this department made or has to answer."""
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
        """Digest and size of a dataset's file, or of its ``parts``, with their salt. Only for its holder,
        processor, operator and city auditors. Also its ``rows`` if the log has them, and the same of new versions
        that await their file (``awaited``; for parts those that are ``missing``).

        AnswerRefused if they do not match the commitment in the catalogue entry.
        """
        from api.sdk.drafts import document_hash

        source = self._get(f"/v1/datasets/{asset}/source")
        named = part(part(self.dataset(asset), "metadata", dict), "source", dict).get("opening")
        if named is not None and document_hash(opening_of(source)) != f"0x{named}":
            raise AnswerRefused("the digest is not the one that the catalogue entry commits to")
        return source

    def upload(self, asset: str, path: Path) -> dict[str, Any]:
        """Hand in a file that the recorded entry, or a new version that awaits it, names by its SHA-256; or one of
        its parts."""
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
        version: int | None = None,
        most_bytes: int = MOST_DATA,
    ) -> Released:
        """Read granted data into memory, at most ``most_bytes``; `read_stream` reads more. A denial raises
        ServiceProblem with its reasons and its own receipt. With ``version`` only that version of the asset is
        read."""
        with self.read_stream(
            asset,
            purpose,
            query,
            action=action,
            grant=grant,
            media_type=media_type,
            attributes=attributes,
            idempotency_key=idempotency_key,
            version=version,
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
        version: int | None = None,
    ) -> Iterator[Reading]:
        """As `read`, as a stream (``reading.stream.chunks()``).

        Only ``reading.finish()`` proves what arrived, after the last byte. If everything was read, leaving the
        block makes this check too, and raises AnswerRefused if it fails. The bytes of a stream that was left before
        its end are not proven.
        """
        asked = Asked(asset, purpose, query, action, grant, attributes, idempotency_key, version)
        if self.memory.seen is not None:  # On a log without witnesses this fails before anything is charged.
            self.witnesses.check(self._cosigned, self.consistency)
        seen = self._seen_size()
        headers = {"Content-Type": JSON, "Accept": media_type}
        if idempotency_key is not None:
            headers[IDEMPOTENCY_HEADER] = idempotency_key
        with self.transport.open(
            "POST", "/v1/read", body=encode(asked.document()), headers=headers
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
        version: int | None = None,
    ) -> dict[str, Any]:
        """Decide and explain without a charge and without data."""
        asked = Asked(asset, purpose, query, action, grant, attributes, version=version)
        return self._post("/v1/read", asked.document(dry_run=True)).json()

    def release(self, release_id: str) -> dict[str, Any]:
        """The record of a release: state and counts, and for its own department the entry of its outcome, as the
        gateway states them. `read` and ``reading.finish()`` check them against the log and the data."""
        return self._get(f"/v1/releases/{quote(release_id, safe='')}")

    # -- the auditor ------------------------------------------------------------------------------------

    def entries(self, **filters: str | int) -> Iterator[dict[str, Any]]:
        """Search the log by ``department``, ``asset``, ``grant``, ``actor``, ``purpose``, ``decision``, ``since``
        ..."""
        return self._pages("/v1/audit/entries", filters)

    def entries_page(self, **filters: str | int) -> dict[str, Any]:
        """One page of `entries`: ``items``, and ``next``, the value of ``cursor`` for the following page (or None)."""
        return self._get("/v1/audit/entries", filters)

    def readers_page(self, asset: str, subject: str, **filters: str | int) -> dict[str, Any]:
        """One page of the readers of one person's record. ``named``: entries whose query named this value of the
        asset's person key. ``could_contain``: releases whose filters do not exclude the person. ``unknown``: what
        cannot be determined, and why. ``next`` as in `entries_page`."""
        return self._get("/v1/audit/readers", {"asset": asset, "subject": subject, **filters})

    def receipt(self, index: int, *, anchored: bool = False) -> Receipt:
        """The receipt of any entry: under the newest checkpoint, or with ``anchored`` including the proof up to a
        block header."""
        seen = 0 if anchored else self._seen_size()
        params = {"anchored": "true"} if anchored else None
        given = self._get(f"/v1/audit/entries/{index}/receipt", params)
        receipt = self.verified(part(given, "receipt", str), seen)
        if receipt.index != index:
            raise AnswerRefused(f"entry {index} was asked for, the receipt is of entry {receipt.index}")
        return receipt

    def readers(self, asset: str, subject: str) -> dict[str, Any]:
        """All pages of `readers_page` in one."""
        answer_page = self.readers_page(asset, subject)
        lists = {name: items_of(answer_page, name) for name in ("named", "could_contain", "unknown")}
        cursor = None
        while (cursor := following(answer_page, cursor)) is not None:
            answer_page = self.readers_page(asset, subject, cursor=cursor)
            for name in ("named", "could_contain"):
                lists[name] += items_of(answer_page, name)
            # Facts about the dataset as a whole are on every page.
            lists["unknown"] += [one for one in items_of(answer_page, "unknown") if "index" in one]
        return answer_page | lists

    def openings(self, index: int) -> dict[str, str]:
        """The disclosures behind an entry's commitments, by name; erased ones are absent."""
        return part(self._get(f"/v1/audit/entries/{index}/openings"), "disclosures", dict)

    def export(self, path: Path) -> dict[str, Any]:
        """Fetch the whole log as a bundle that ``civic audit verify`` checks offline; returns its size and digest."""
        with self.transport.open("GET", "/v1/audit/bundle") as stream:
            if stream.status >= 400:
                self.checked(stream.answer())
            with path.open("wb") as file:
                for chunk in stream.chunks():
                    file.write(chunk)
            return {"path": str(path), "bytes": stream.size, "sha256": stream.sha256}


def _chunks(file: Any) -> Iterator[bytes]:
    while chunk := file.read(1 << 20):
        yield chunk
