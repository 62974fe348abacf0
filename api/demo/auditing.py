"""The last chapters: the head on chain, the auditor's queries, the check without the service."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from api.demo.city import City, wait_for_anchor
from api.demo.narrator import Narrator
from api.demo.participants import (
    AUDIT,
)
from languages.texts import in_both, listed
from ledger.audit.formats.note import b64
from ledger.audit.verify import verify_bundle
from ledger.counts import counted


def anchor(narrator: Narrator, city: City) -> int | None:
    """Wait until the head that covers everything so far is anchored on chain."""
    # A head is anchored within a second of the last act; on a slow node, entries after that head wait a minute.
    anchored = wait_for_anchor(city, 75)
    if anchored is None:
        narrator.check("head-anchored", False, "the head was not anchored in time")
        return None
    narrator.check(
        "head-anchored",
        True,
        "{entries} anchored in block {block}; the contract checked that they extend the last head",
        entries=counted(anchored["size"], "entry", "entries"),
        block=anchored["block"],
    )
    return int(anchored["block"])


def audit(narrator: Narrator, city: City) -> tuple[Path, dict[str, Any]]:
    """Make the auditor's queries, which are entries too."""
    civic = city.of(AUDIT).civic
    denials = list(civic.entries(decision="deny"))
    by_department = sorted(Counter(item["entry"]["department"] for item in denials).items())
    narrator.tell(
        "{refusals} in the log: {departments}",
        refusals=counted(len(denials), "refusal"),
        departments=listed(
            [
                in_both("{count} of department {number}", count=count, number=number)
                for number, count in by_department
            ]
        ),
    )
    narrator.check(
        "every-denial-is-logged",
        len(denials) == sum(city.denials.values()),
        "every refusal of this story is in the log, and no other",
    )
    permits = list(civic.entries(decision="permit"))
    narrator.check(
        "every-read-is-logged", len(permits) == city.permitted, "every answered read has its entry"
    )
    bundle = city.home / "audit-bundle.tar"
    bundle.unlink(missing_ok=True)
    civic.export(bundle)
    return bundle, civic.status()


def verify(narrator: Narrator, city: City, bundle: Path) -> Path:
    """Make the offline check as a third party does; the trust file has heads that the departments' clients kept."""
    trust = city.of(AUDIT).directory / "trust.json"
    document = {**city.trust.document, "pins": _kept_heads(city)}
    trust.write_text(json.dumps(document, indent=1) + "\n")
    pinned = verify_bundle(bundle, trust)
    heads = len(pinned.held_elsewhere)
    narrator.check(
        "offline-verified",
        pinned.word == "verified" and len(pinned.held_elsewhere) > 0,
        "against the trust file: {word}; {anchor}; {heads} part of it",
        word=pinned.word,
        anchor=pinned.anchor,
        heads=counted(heads, "head that departments kept is", "heads that departments kept are"),
    )
    alone = verify_bundle(bundle)
    narrator.check(
        "without-trust-self-consistent-only",
        alone.word == "self-consistent only",
        "without a trust file: {word}",
        word=alone.word,
    )
    civic = "civic" if shutil.which("civic") else Path(sys.executable).with_name("civic")
    command = f"{civic} audit verify {bundle} --trust {trust}"
    narrator.tell("Do it yourself: {command}", command=command)
    return trust


def _kept_heads(city: City) -> list[dict[str, object]]:
    """The newest heads that the departments' own clients verified and kept, which the operator cannot change."""
    seen = {
        checkpoint.size: {"size": checkpoint.size, "root": b64(checkpoint.root)}
        for actor in city.actors.values()
        if (checkpoint := actor.civic.memory.seen) is not None and checkpoint.size > 0
    }
    return [seen[size] for size in sorted(seen)]
