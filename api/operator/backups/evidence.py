"""What is known outside a backup of how far the log came: high-water marks, heads that somebody kept, the chain's anchor.

A head counts only if a key of this log signed it, or the chain anchored it. A head that the backup's log does not reach says
that entries are lost; one that it contradicts says that the backup is of another log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from api.operator.home_chain import open_chain
from api.operator.installation import log_key_of
from api.operator.trust_document import origin_of
from api.runtime.marks import mark_file, marks_of
from api.runtime.settings import Home, Settings
from languages.texts import in_both
from ledger.audit.formats.checkpoint import Origin, SignedCheckpoint, opened_by, read_checkpoint
from ledger.audit.formats.errors import AuditError, NoteInvalid
from ledger.audit.formats.note import VerifierKey
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.reading import LogReader
from ledger.audit.outside.anchoring import anchored_head, origin_hash
from ledger.audit.verify.receipts import HEADER, Receipt
from ledger.audit.verify.strict import read_once
from ledger.chain.deployment import Deployment
from ledger.counts import counted
from ledger.errors import LedgerError
from ledger.small_files import read_small, read_text

CHAIN_ITSELF = "chain"
"""The source of an anchored head."""
OWN_MARK = "backup"
"""The source of the head in the backup's own copy of the mark."""
_MARK_BYTES = 8192


class KeptInvalid(LedgerError):
    """A file that was given has no head that a key of this log signed."""

    code = "backup.kept"


class OtherLog(LedgerError):
    """A signed or anchored head contradicts the log of the backup."""

    code = "backup.other-log"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A head of this log from outside the backup: ``source`` is a file, `CHAIN_ITSELF` or `OWN_MARK`. ``note`` is the signed head; None for
    an anchored one."""

    source: str
    epoch: int
    size: int
    root: bytes
    note: SignedCheckpoint | None

    def later_than(self, epoch: int, size: int) -> bool:
        """Whether it is a head that a log of this epoch and size has not. The end of an earlier epoch may be lost: a council
        ended that epoch before it."""
        return self.epoch > epoch or (self.epoch == epoch and self.size > size)

    def to_json(self) -> dict[str, Any]:
        return {"source": self.source, "epoch": self.epoch, "size": self.size, "root": "0x" + self.root.hex()}


def known_heads(
    home: Home,
    place: Path,
    settings: Settings,
    log: LogReader,
    marks: Mapping[Path, str],
    kept: Sequence[Path],
) -> list[Evidence]:
    """Every head that is known beside the log of the backup whose restored ``home`` is to be at ``place``, the furthest first.

    ``marks`` are further files that may be marks of this log, each with the source that is stated for it; ``kept`` are files
    that the caller says have heads. Raises `KeptInvalid`, and `OtherLog` for a head that the log contradicts.
    """
    keys = _Keys(home, log)
    final = replace(home, path=place)
    found: dict[tuple[int, int, bytes], Evidence] = {}
    here = {file: str(file) for file in marks_of(final, settings).values()}
    for file, source in (here | dict(marks)).items():
        for one in _of_mark(file, source, keys):
            found.setdefault((one.epoch, one.size, one.root), one)
    for file in kept:
        for one in _of_file(file, keys):
            found.setdefault((one.epoch, one.size, one.root), one)
    anchored = _anchored(home, settings)
    if anchored is not None:
        found.setdefault((anchored.epoch, anchored.size, anchored.root), anchored)
    every = sorted(found.values(), key=lambda one: (one.epoch, one.size), reverse=True)
    for one in every:
        _must_be_of(log, home, one)
    return every


def raise_mark(home: Home, place: Path, settings: Settings, heads: Sequence[Evidence]) -> Path | None:
    """Keep the furthest signed head as the mark of the restored home, so that no service starts on it while entries are known
    to be lost; returns the mark's file."""
    signed = [one for one in heads if one.note is not None]
    if not signed or signed[0].note is None:
        return None
    file = mark_file(replace(home, path=place, epoch=signed[0].epoch), settings)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = HighWaterMark(file)
    try:
        mark.raise_to(signed[0].note)
    finally:
        mark.close()
    return file


class _Keys:
    """The keys of this log, by the origin of the head."""

    def __init__(self, home: Home, log: LogReader) -> None:
        self._home, self._log = home, log
        self._ours = origin_of(Deployment.from_json(home.deployment))

    def opened(self, note: str) -> SignedCheckpoint:
        """A head that one of the keys signed; raises `NoteInvalid`."""
        origin = Origin.parse(read_checkpoint(note).checkpoint.origin)
        if (origin.chain_id, origin.contract) != (self._ours.chain_id, self._ours.contract):
            raise NoteInvalid("it is of another log")
        newest = log_key_of(replace(self._home, epoch=origin.epoch))
        keys = [newest]
        if origin.epoch <= self._home.epoch:
            history = self._log.key_history(str(origin), self._log.size)
            keys += [VerifierKey.parse(one["vkey"]) for one in history]
        return opened_by(note, keys)


def _evidence(source: str, signed: SignedCheckpoint) -> Evidence:
    return Evidence(source, Origin.parse(signed.checkpoint.origin).epoch, signed.size, signed.root, signed)


def _of_mark(file: Path, source: str, keys: _Keys) -> Iterator[Evidence]:
    """The heads in both slots of a mark; nothing of a file that is none, or of another log."""
    with suppress(OSError):
        if not file.is_file():
            return
        data = read_small(file, _MARK_BYTES)
        for start in (0, 4096):
            length = int.from_bytes(data[start + 8 : start + 12], "big")
            with suppress(NoteInvalid, UnicodeDecodeError, ValueError):
                note = data[start + 12 : start + 12 + length].decode()
                yield _evidence(source, keys.opened(note))


def _of_file(file: Path, keys: _Keys) -> Iterator[Evidence]:
    try:
        text = read_text(file)
        if text.startswith(HEADER):
            notes = [Receipt.parse(text).checkpoint]
        elif text.lstrip().startswith("{"):
            document = read_once(text)
            notes = [str(one) for one in document["heads"]]
        else:
            notes = [text]
        for note in notes:
            yield _evidence(str(file), keys.opened(note))
    except (OSError, ValueError, KeyError, TypeError, AuditError) as none:
        raise KeptInvalid(
            f"{file} has no head that this log signed: {none}",
            hint=in_both("a checkpoint from state/ of a profile, a receipt, or a file of civic heads export"),
        ) from none


def _anchored(home: Home, settings: Settings) -> Evidence | None:
    """The anchored head of the home's epoch on a chain outside the backup; None where the chain does not answer."""
    if not settings.rpc_url:
        return None
    deployment = Deployment.from_json(home.deployment)
    with suppress(LedgerError), open_chain(home, settings, reading=True) as chain:
        origin = origin_hash(str(origin_of(deployment, home.epoch)))
        anchored = anchored_head(chain, deployment, origin)
        if anchored is not None:
            return Evidence(CHAIN_ITSELF, home.epoch, anchored.size, anchored.root, None)
    return None


def _must_be_of(log: LogReader, home: Home, one: Evidence) -> None:
    if one.epoch != home.epoch or one.size > log.size:
        return
    if one.size and log.root_at(one.size) != one.root:
        raise OtherLog(
            f"{one.source} has a head of {counted(one.size, 'entry', 'entries')}, and the log of the backup has another one",
            hint=in_both(
                "the backup is of another log, or was changed: take another backup; nothing was restored"
            ),
        )
