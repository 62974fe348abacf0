"""An act's documents are checked before anybody signs, by the rule that the service asks at hand-in.

Where the service cannot be reached, what needs no catalogue is checked all the same, and that is said.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from access_policy.errors import PolicyError
from access_policy.terms import Agreement, parse_terms
from api.cli.language import language, say
from api.cli.output import note
from api.documents.facts import Catalogue, DocumentRefused, Entry, Holding, Papers, Recorded
from api.documents.rule import must_fit
from api.problems import advice_for
from api.sdk.errors import ClientError, ServiceProblem, ServiceUnreachable
from ledger.chain.messages import normalise
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


def check_documents(profile: Profile, draft: ActDraft) -> None:
    """Tell the warnings about a draft's documents; DocumentsDoNotFit when they must not be signed."""
    if not draft.documents:
        return
    with ExitStack() as stack:
        try:
            civic = stack.enter_context(profile.public())
            _tell(draft, PublishedCatalogue(civic))
        except ServiceUnreachable:
            note(
                say(
                    "  the service does not answer: the documents were not held against the catalogue",
                    "  服务无应答：未与目录核对所附文件",
                )
            )
            _tell(draft, NoCatalogue())


def _tell(draft: ActDraft, catalogue: Catalogue) -> None:
    message = normalise(draft.type, draft.message)
    try:
        found = must_fit(Papers(draft.type, message, draft.documents, draft.arguments, catalogue))
    except DocumentRefused as refused:
        raise DocumentsDoNotFit(refused) from refused
    for one in found:
        note(say(f"  note [{one.code}]: {one.detail}", f"  注意 [{one.code}]：{one.detail}"))


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
