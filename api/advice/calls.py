"""Codes of calls: permitted queries, releases, and missing objects."""

from __future__ import annotations

from collections.abc import Mapping

from access_policy.explain.phrases import PHRASES
from api.advice.advice import Advice as _A

CALLS: Mapping[str, _A] = {
    "call.replayed": _A(409, "This call was already made", "sign every call with a fresh nonce"),
    "call.too-many": _A(
        429, "The department makes too many calls at once", "wait until some of your calls are answered"
    ),
    "query": _A(400, "The query is malformed", "correct the member the pointer names"),
    "terms": _A(400, "The terms are not in the supported profile", "correct the member the pointer names"),
    "terms.collection": _A(
        400, "The terms depend on a collection that is not kept here", "name the departments one by one"
    ),
    "terms.wider-than-parent": _A(
        409,
        "Delegated terms are wider than the terms above them",
        "leave out what is named as wider and sign again; repeat the row filter of the terms above unchanged",
    ),
    "transform": _A(400, "The transform is not known", "use one of the listed transforms"),
    "metadata": _A(400, "The catalogue entry is malformed", "correct the member the pointer names"),
    "not-found": _A(
        404, "Nothing is registered under that identifier", "check the identifier against the list"
    ),
    "asset.unknown": _A(404, "The asset is not registered", "list the catalogue for its identifier"),
    "column.unknown": _A(400, "The asset has no such column", "see the asset's schema"),
    "grant.unknown": _A(404, "There is no such grant", "list the register for its id"),
    "condition.unknown": _A(
        404, "There is no such condition", "list the conditions for its number: civic condition list"
    ),
    "condition.ended": _A(
        409,
        "The condition has ended for ever",
        "open another one, and bind the grants to it that depend on it",
    ),
    **{
        prefix: _A(403, "The call is not permitted", "see the explanation for what is missing")
        for prefix in sorted(
            {code.partition(".")[0] for code in PHRASES} - {"call", "caller", "idempotency", "scan", "source"}
        )
    },
    "department": _A(403, "The department is not in good standing", "ask the council"),
    # documents
    **{
        prefix: _A(400, "The document is malformed", "correct what the message names")
        for prefix in ("format", "membership", "predicate.type", "record", "schema")
    },
    "format.unknown": _A(
        406, "The service does not write this format", "ask for JSON, NDJSON, CSV or Arrow with Accept"
    ),
    "not-found.anchor": _A(404, "No head on chain covers this entry yet", "ask again after the next anchor"),
    "not-found.entry": _A(
        404, "The log has no such entry", "check the number; civic status shows the size of the log"
    ),
    "not-found.version": _A(
        404,
        "The dataset has no version of this number",
        "see the current version: civic dataset show; versions count from 1",
    ),
    "not-found.tile": _A(
        404, "The log has no such tile", "check the numbers of the tile against the size of the log"
    ),
    "not-found.release": _A(404, "No release has this id", "check the id on the receipt"),
    "not-found.key": _A(404, "There is no key of this name", "see the list: civic keys list"),
    "release.in-progress": _A(
        409,
        "The first call with this idempotency key is still being answered",
        "wait for it, then call again with the same key",
    ),
    "release.state": _A(409, "The release is ended, or not begun", "make a new call"),
    "scan.cancelled": _A(500, "The reading was stopped", "read again; a revocation may have ended it"),
    "scan.timeout": _A(500, "The reading took longer than it may", "ask for fewer rows or columns"),
    "scan.worker-lost": _A(
        500, "The process that read the data ended", "read again; tell the operator if it happens again"
    ),
    "source.forbidden": _A(
        409, "The file lies outside the directories that the operator allows", "move it into such a directory"
    ),
    "source.mismatch": _A(
        409,
        "The file lacks declared columns, or is not of its format",
        "hand in the file that was signed, or sign a new version",
    ),
    "source.missing": _A(
        409, "The file of the dataset is not here", "the holder hands it in: civic dataset upload"
    ),
    "source.unreadable": _A(
        409,
        "The file cannot be read as its schema says",
        "see the report: correct the file or the schema, and sign a new version",
    ),
}
