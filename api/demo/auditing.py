"""The end of the story: the head on chain, the auditor's questions, the check that needs no service."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from api.demo.cast import (
    AUDIT,
)
from api.demo.city import City, wait_for_anchor
from api.demo.narrator import Narrator
from ledger.audit.note import b64
from ledger.audit.verify import verify_bundle


def anchor(narrator: Narrator, city: City) -> int | None:
    """Wait for the head that covers everything so far to stand on chain."""
    anchored = wait_for_anchor(city, 20)
    if anchored is None:
        narrator.check("head-anchored", False, "the head was not anchored in time", "日志头未能及时锚定")
        return None
    narrator.check(
        "head-anchored",
        True,
        f"{anchored['size']} entries anchored in block {anchored['block']}; the contract checked that they extend the last head",
        f"{anchored['size']} 条已锚定于区块 {anchored['block']}；合约已核验其延续上一日志头",
    )
    return int(anchored["block"])


def audit(narrator: Narrator, city: City) -> tuple[Path, dict[str, Any]]:
    """The auditor's own calls are entries too."""
    civic = city.of(AUDIT).civic
    denials = list(civic.entries(decision="deny"))
    by_department = Counter(item["entry"]["department"] for item in denials)
    narrator.tell(
        f"{len(denials)} refusals in the log: {dict(by_department)}",
        f"日志中有 {len(denials)} 次拒绝：{dict(by_department)}",
    )
    narrator.check(
        "every-denial-is-logged",
        len(denials) == sum(city.denials.values()),
        "every refusal of this story is in the log, and no other",
        "本演示的每次拒绝都在日志中，且无其他",
    )
    permits = list(civic.entries(decision="permit"))
    narrator.check(
        "every-read-is-logged",
        len(permits) == city.permitted,
        "every answered read has its entry",
        "每次放出的读取都有日志条目",
    )
    bundle = city.home / "audit-bundle.tar"
    bundle.unlink(missing_ok=True)
    civic.export(bundle)
    return bundle, civic.status()


def verify(narrator: Narrator, city: City, bundle: Path) -> Path:
    """The offline check as a stranger makes it; the trust file holds heads that the departments' clients kept."""
    trust = city.of(AUDIT).directory / "trust.json"
    document = {**city.trust.document, "pins": _kept_heads(city)}
    trust.write_text(json.dumps(document, indent=1) + "\n")
    pinned = verify_bundle(bundle, trust)
    said = "; ".join([pinned.word, pinned.anchor, *pinned.held_elsewhere])
    narrator.check(
        "offline-verified",
        pinned.word == "verified" and len(pinned.held_elsewhere) > 0,
        f"against the trust file: {said}",
        f"对照信任文件：{said}",
    )
    alone = verify_bundle(bundle)
    narrator.check(
        "without-trust-self-consistent-only",
        alone.word == "self-consistent only",
        f"without a trust file: {alone.word}",
        f"无信任文件：{alone.word}",
    )
    command = f"civic audit verify {bundle} --trust {trust}"
    narrator.tell(f"Do it yourself: {command}", f"自行核验：{command}")
    return trust


def _kept_heads(city: City) -> list[dict[str, object]]:
    """The newest heads that the departments' own clients verified and kept: out of the operator's reach."""
    seen = {
        checkpoint.size: {"size": checkpoint.size, "root": b64(checkpoint.root)}
        for actor in city.actors.values()
        if (checkpoint := actor.civic.memory.seen) is not None and checkpoint.size > 0
    }
    return [seen[size] for size in sorted(seen)]
