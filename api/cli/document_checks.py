"""Checks an act's documents before signing, by the same rule that the service applies at hand-in.

If the service cannot be reached, the checks that need no catalogue are still made, and the user is told.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from access_policy.errors import PolicyError
from access_policy.terms.agreement import Agreement, parse_terms
from api.documents.facts import (
    ActWithDocuments,
    Catalogue,
    DocumentRefused,
    Entry,
    Finding,
    Holding,
    Recorded,
)
from api.documents.rule import must_fit
from api.http.problems import advice_for
from api.protocol.errors import ClientError
from api.sdk.errors import AnswerRefused, ServiceProblem, ServiceUnreachable
from api.sdk.published import in_time
from api.terminal.language import language, say
from languages.texts import in_language
from ledger.acts.documents import documents_named
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
        message = in_language(refused.message, language())
        if language() == "zh":
            message = say("{title} ({detail})", title=say(advice.title), detail=message)
        super().__init__(message, hint=say(advice.next), code=refused.code)
        self.pointer = refused.pointer


class PublishedCatalogue:
    """A `Catalogue` of what the service publishes."""

    def __init__(self, civic: Civic) -> None:
        self._civic = civic

    def dataset(self, asset: int) -> Entry | None:
        return self._entry(asset, None)

    def version(self, asset: int, number: int) -> Entry | None:
        return self._entry(asset, number)

    def _entry(self, asset: int, version: int | None) -> Entry | None:
        try:
            found = self._civic.dataset(asset_text(asset), version=version)
        except ServiceProblem as refused:
            if refused.status == 404:
                return None
            raise
        rights = (int(found["holder"]), int(found["processor"]), int(found["operator"]))
        spellings = {str(one["column"]): int(one["values"]) for one in found.get("spellings", ())}
        return Entry(
            asset,
            rights,
            found["grade"],
            found["sharing"],
            found["status"],
            found["metadata"],
            spellings,
            int(found["version"]),
            bool(found["readable"]),
        )

    def grant(self, grant_id: str) -> Recorded | None:
        try:
            return _recorded(self._civic.grant(grant_id))
        except ServiceProblem as refused:
            if refused.status == 404:
                return None
            raise

    def holdings(self, files: Collection[str]) -> Sequence[Holding]:
        return ()  # The service does not publish which files are on record. It checks them when the act is handed in.

    def stored(self, sha256: str) -> bytes | None:
        return None

    def live_grants(self, asset: int) -> Sequence[Recorded]:
        found = in_time(self._civic.grants(asset=asset_text(asset), status="active"))
        return [_recorded(one) for one in found if int(one["expiry"]) > time.time()]


class NoCatalogue:
    """An empty `Catalogue`: only checks that need no catalogue can be made."""

    def dataset(self, asset: int) -> Entry | None:
        return None

    def version(self, asset: int, number: int) -> Entry | None:
        return None

    def grant(self, grant_id: str) -> Recorded | None:
        return None

    def holdings(self, files: Collection[str]) -> Sequence[Holding]:
        return ()

    def stored(self, sha256: str) -> bytes | None:
        return None

    def live_grants(self, asset: int) -> Sequence[Recorded]:
        return ()


def check_documents(profile: Profile, draft: ActDraft, *, offline: bool = False) -> list[str]:
    """The warnings about a draft's documents, in words; DocumentsDoNotFit if they must not be signed."""
    silent, found = document_findings(profile, draft, offline=offline)
    notes = [say("  note [{code}]: {detail}", code=one.code, detail=one.detail) for one in found]
    return [*silent, *notes]


def document_findings(
    profile: Profile, draft: ActDraft, *, offline: bool = False
) -> tuple[list[str], list[Finding]]:
    """The checks that could not be made, in words, and the warnings; DocumentsDoNotFit if the documents must not be
    signed. With ``offline`` the service is not asked."""
    message = normalise(draft.type, draft.message)
    if not draft.documents and not any(documents_named(draft.type, message)):
        return [], []
    with ExitStack() as stack:
        try:
            if offline:
                raise ServiceUnreachable("")
            civic = stack.enter_context(profile.public())
            return [], _checked_against(PublishedCatalogue(civic), draft, message)
        except (ServiceUnreachable, AnswerRefused) as unasked:
            note_text = say("the documents were not held against the catalogue")
            silent = f"  {note_text} [{unasked.code}]"
    return [silent], _checked(draft, message, NoCatalogue())


def _checked_against(
    catalogue: PublishedCatalogue, draft: ActDraft, message: Mapping[str, Any]
) -> list[Finding]:
    """Check the documents against the published catalogue. Raises AnswerRefused if what the service publishes has
    not the form of a catalogue; faults of the act itself are found without it."""
    try:
        return _checked(draft, message, catalogue)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as unfit:
        raise AnswerRefused("what the service answers is no catalogue") from unfit


def _checked(draft: ActDraft, message: Mapping[str, Any], catalogue: Catalogue) -> list[Finding]:
    try:
        return must_fit(ActWithDocuments(draft.type, message, draft.documents, draft.arguments, catalogue))
    except DocumentRefused as refused:
        raise DocumentsDoNotFit(refused) from refused


def _recorded(found: Mapping[str, Any]) -> Recorded:
    terms = found.get("terms") or {}
    return Recorded(
        str(found["id"]),
        int(found["grantor"]),
        int(found["grantee"]),
        normalise("Terms", terms) if terms else {},
        _agreement(found.get("agreement")),
        found.get("replaced_by"),
    )


def _agreement(document: Any) -> Agreement | None:
    try:
        terms = None if document is None else parse_terms(document)
    except PolicyError:
        return None
    return terms if isinstance(terms, Agreement) else None
