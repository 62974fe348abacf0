"""An act's documents are checked before anybody signs, by the rule that the service asks at hand-in.

Where the service cannot be reached, what needs no catalogue is checked all the same, and that is said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from access_policy.errors import PolicyError
from access_policy.terms import Agreement, parse_terms
from api.cli.language import language, say
from api.documents.facts import Catalogue, DocumentRefused, Entry, Finding, Holding, Papers, Recorded
from api.documents.rule import must_fit
from api.problems import advice_for
from api.sdk.codes import NO_HASH
from api.sdk.drafts import document_hash
from api.sdk.errors import ClientError, ServiceProblem, ServiceUnreachable
from ledger.chain.messages import fields, normalise
from ledger.ids import asset_text

if TYPE_CHECKING:
    from api.cli.profile import Profile
    from api.sdk.acts import ActDraft
    from api.sdk.client import Civic


class DocumentsDoNotFit(ClientError):
    """Nothing was signed: a document contradicts the message, another document or the catalogue."""

    def __init__(self, refused: DocumentRefused) -> None:
        advice = advice_for(refused.code)
        message = refused.message if language() != "zh" else f"{advice.title_zh}（{refused.message}）"
        super().__init__(message, hint=say(advice.next_en, advice.next_zh), code=refused.code)
        self.pointer = refused.pointer


class PublishedCatalogue:
    """A `Catalogue` of what the service publishes."""

    def __init__(self, civic: Civic) -> None:
        self._civic = civic

    def dataset(self, asset: int) -> Entry | None:
        try:
            found = self._civic.dataset(asset_text(asset))
        except ServiceProblem as refused:
            if refused.status == 404:
                return None
            raise
        rights = (int(found["holder"]), int(found["processor"]), int(found["operator"]))
        return Entry(asset, rights, found["grade"], found["sharing"], found["status"], found["metadata"])

    def grant(self, grant_id: str) -> Recorded | None:
        try:
            return _recorded(self._civic.grant(grant_id))
        except ServiceProblem as refused:
            if refused.status == 404:
                return None
            raise

    def holdings(self, sha256: str) -> Sequence[Holding]:
        return ()  # which files are on record the service does not tell: it checks that when the act is handed in

    def stored(self, sha256: str) -> bytes | None:
        return None

    def live_grants(self, asset: int) -> Sequence[Recorded]:
        found = self._civic.grants(asset=asset_text(asset), status="active")
        return [_recorded(one) for one in found if int(one["expiry"]) > time.time()]


class NoCatalogue:
    """A `Catalogue` that knows nothing: what can be checked without one is checked."""

    def dataset(self, asset: int) -> Entry | None:
        return None

    def grant(self, grant_id: str) -> Recorded | None:
        return None

    def holdings(self, sha256: str) -> Sequence[Holding]:
        return ()

    def stored(self, sha256: str) -> bytes | None:
        return None

    def live_grants(self, asset: int) -> Sequence[Recorded]:
        return ()


def check_documents(profile: Profile, draft: ActDraft) -> list[str]:
    """The warnings about a draft's documents; DocumentsDoNotFit when they must not be signed."""
    message = normalise(draft.type, draft.message)
    named = list(documents_named(draft.type, message))
    if not named and not draft.documents:
        return []
    with ExitStack() as stack:
        try:
            civic = stack.enter_context(profile.public())
            return _checked(draft, message, named, PublishedCatalogue(civic))
        except ServiceUnreachable:
            silent = say(
                "  the service does not answer: the documents were not held against the catalogue",
                "  服务无应答：未与目录核对所附文件",
            )
    return [silent, *_checked(draft, message, named, NoCatalogue())]


DOCUMENTS = frozenset({"termsHash", "metadata", "profile", "reason", "reasonHash", "voucher"})
"""The ``bytes32`` members that are the SHA-256 of a document: who signs the hash signs what it stands for."""


def documents_named(kind: str, message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The hash of every document that a normalised message names, with the member; none for a hash of zeros."""
    for member in fields(kind):
        value, inner = message[member.name], member.type.removesuffix("[]")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                yield from documents_named(inner, item)
            elif inner == "bytes32" and member.name in DOCUMENTS and item != NO_HASH:
                yield item, member.name


def _checked(
    draft: ActDraft, message: Mapping[str, Any], named: Sequence[tuple[str, str]], catalogue: Catalogue
) -> list[str]:
    try:
        found = must_fit(Papers(draft.type, message, draft.documents, draft.arguments, catalogue))
        attached = {document_hash(document) for document in draft.documents}
        for digest, member in named:
            if digest not in attached:
                said = f"the document with the SHA-256 {digest[2:]} is not attached, so it cannot be shown"
                raise DocumentRefused(Finding("act.document-missing", said, f"/message/{member}", member))
    except DocumentRefused as refused:
        raise DocumentsDoNotFit(refused) from refused
    return [say(f"  note [{one.code}]: {one.detail}", f"  注意 [{one.code}]：{one.detail}") for one in found]


def _recorded(found: Mapping[str, Any]) -> Recorded:
    terms = found.get("terms") or {}
    return Recorded(
        str(found["id"]),
        int(found["grantor"]),
        int(found["grantee"]),
        normalise("Terms", terms) if terms else {},
        _agreement(found.get("agreement")),
    )


def _agreement(document: Any) -> Agreement | None:
    try:
        terms = None if document is None else parse_terms(document)
    except PolicyError:
        return None
    return terms if isinstance(terms, Agreement) else None
