"""Openings: the values behind the commitments of an entry, stored apart from the log so that they can be erased.

A commitment is the digest of an RFC 9901 disclosure: base64url(SHA-256(base64url(JSON [salt, name, value]))) with
a fresh 128-bit salt, so even the digest of a value with two possibilities reveals nothing. The disclosure is stored
encrypted (AES-256-GCM) under a key of its data subject. Erasure deletes the key and the openings. Proofs remain valid
afterwards, and re-deciding raises `NotReplayable`.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from sqlalchemy import Connection, Engine, bindparam, delete, insert, select, update

from ledger.audit.formats.disclosures import disclosure_digest, read_disclosure
from ledger.audit.formats.entropy import random_block
from ledger.audit.formats.errors import AuditError, EventInvalid
from ledger.audit.formats.events import Event
from ledger.audit.log.rows import insert_rows
from ledger.store.prepared import Prepared
from ledger.store.tables import table_of
from ledger.store.tables.audit import AuditOpening, AuditSubject

opening_table = table_of(AuditOpening)
subject_table = table_of(AuditSubject)
_SUBJECT = Prepared(select(subject_table.c.wrapped).where(subject_table.c.tag == bindparam("tag_")))
_ROWS_PER_QUERY = 500


class VaultKeyWrong(AuditError):
    """The master key does not decrypt this subject's key, or the stored opening is damaged."""

    code = "audit.vault_key"


class NotReplayable(AuditError):
    """The opening was erased or never stored, so the decision cannot be repeated from the log."""

    code = "audit.not_replayable"


@dataclass(frozen=True, slots=True)
class Opening:
    """One disclosure of a data subject. ``subject`` is any stable text, such as a citizen id.

    ``subject`` "" is for values that concern no person. They share one key and cannot be erased one by one.
    """

    name: str
    disclosure: str
    subject: str = ""

    @property
    def digest(self) -> str:
        """The commitment of the event under ``name``."""
        return disclosure_digest(self.disclosure)

    @property
    def parent(self) -> str:
        """The name of the opening whose value lists this one's digest; "" when the event itself holds the digest."""
        parent, slash, _ = self.name.partition("/")
        return parent if slash else ""

    @property
    def value(self) -> Any:
        """The value in the disclosure; raises `DisclosureInvalid`."""
        return read_disclosure(self.disclosure)[2]


def commit(name: str, value: Any, subject: str = "") -> Opening:
    """A new commitment to a JSON value: ``digest`` belongs into the event, the opening into the vault."""
    salt = _base64url(random_block())
    text = json.dumps([salt, name, value], ensure_ascii=False, separators=(",", ":"))
    return Opening(name, _base64url(text.encode()), subject)


def commit_each(name: str, values: Sequence[tuple[Any, str]]) -> tuple[list[str], tuple[Opening, ...]]:
    """Commitments to (value, subject) pairs that can be opened and erased one by one (nested disclosures of RFC 9901).

    Returns the digests, which the caller commits to as the value of ``name``, and the openings ``name/0``, ``name/1``
    and so on.
    """
    made = tuple(commit(f"{name}/{number}", value, subject) for number, (value, subject) in enumerate(values))
    return [opening.digest for opening in made], made


def commitments_of(openings: Iterable[Opening]) -> dict[str, str]:
    """The ``commitments`` of an event with these openings. Nested openings are left out: their parent lists them."""
    return {opening.name: opening.digest for opening in openings if not opening.parent}


def must_fit(event: Event, openings: Mapping[str, Opening], *, whole: bool = False) -> None:
    """Raise `EventInvalid` unless the event commits to each opening.

    A nested opening whose parent is missing cannot be checked and is accepted. With ``whole``, no opening was erased
    yet, so it is refused.
    """
    listed = {opening.parent for opening in openings.values() if opening.parent}
    digests = {name: frozenset(openings[name].value) for name in listed if name in openings}
    for name, opening in openings.items():
        if opening.parent:
            held = opening.digest in digests.get(opening.parent, () if whole else (opening.digest,))
        else:
            held = event.commitments.get(name) == opening.digest
        if not held:
            raise EventInvalid(f"the event does not commit to the opening {name!r}")


def commit_all(values: Mapping[str, Any], subject: str = "") -> tuple[dict[str, str], tuple[Opening, ...]]:
    """(commitments for the event, openings) for several values of one subject."""
    made = tuple(commit(name, value, subject) for name, value in values.items())
    return {opening.name: opening.digest for opening in made}, made


class OpeningVault:
    """Stores, opens and erases openings. The 32-byte master key is stored outside the database.

    ``index_key`` is given after a rotation of the master key (see `rewrap`), because tags must stay the same.
    """

    def __init__(self, master_key: bytes, *, index_key: bytes | None = None) -> None:
        if len(master_key) != 32:
            raise AuditError("the master key of the openings has 32 bytes")
        self._index_key = index_key or hmac.digest(master_key, b"civic openings index", "sha256")
        self._wrap_key = hmac.digest(master_key, b"civic openings wrap", "sha256")

    @property
    def index_key(self) -> bytes:
        """The key of the tags. Store it with the master key, outside the database."""
        return self._index_key

    def tag(self, subject: str) -> bytes:
        """The keyed hash that identifies a subject's openings; the subject itself is not stored."""
        return hmac.digest(self._index_key, subject.encode(), "sha256")

    def store(self, conn: Connection, entries: Sequence[tuple[int, Sequence[Opening]]]) -> None:
        """Store the openings of entries, given as (index, openings), in the caller's transaction."""
        rows = []
        keys: dict[bytes, AESGCM] = {}
        for index, openings in entries:
            for opening in openings:
                tag = self.tag(opening.subject)
                if tag not in keys:
                    keys[tag] = self._key(conn, tag)
                nonce = random_block()[:12]
                sealed = nonce + keys[tag].encrypt(
                    nonce, opening.disclosure.encode(), _associated(index, opening.name)
                )
                rows.append((index, opening.name, tag, sealed))
        insert_rows(conn, opening_table, rows)

    def openings(self, conn: Connection, index: int) -> dict[str, Opening]:
        """The stored openings of an entry by name, decrypted. Raises `VaultKeyWrong`."""
        rows = conn.execute(
            select(opening_table.c.name, opening_table.c.tag, opening_table.c.sealed).where(
                opening_table.c.idx == index
            )
        ).all()
        found = {}
        for name, tag, sealed in rows:
            try:
                disclosure = self._cipher(conn, tag).decrypt(
                    sealed[:12], sealed[12:], _associated(index, name)
                )
            except InvalidTag as error:
                raise VaultKeyWrong(f"the opening {name} of entry {index} was damaged") from error
            found[name] = Opening(name, disclosure.decode())
        return found

    def open(self, conn: Connection, index: int, event: Event) -> dict[str, Any]:
        """The values behind all commitments of the entry ``index`` with this ``event``, by name.

        Raises `NotReplayable` when one of them was erased or never stored.
        """
        found = self.openings(conn, index)
        missing = sorted(event.commitments.keys() - found.keys())
        nested = {
            opening.parent: found[opening.parent] for opening in found.values() if opening.parent in found
        }
        present = {opening.digest for opening in found.values()}
        missing += [name for name, parent in nested.items() if not present.issuperset(parent.value)]
        if missing:
            raise NotReplayable(
                f"entry {index} is not replayable: no opening of {', '.join(missing)}",
                hint="it was erased, or never kept; every proof of the entry still holds",
            )
        must_fit(event, found)
        return {name: opening.value for name, opening in found.items()}

    def entries_of(
        self, conn: Connection, *subjects: str, without: str = "", after: int = -1, limit: int = 1000
    ) -> list[int]:
        """The indexes above ``after`` of entries with an opening of one of these subjects, ascending, ``limit`` at most.

        Openings with the name ``without`` are not counted.
        """
        tags = [self.tag(subject) for subject in subjects]
        rows = conn.execute(
            select(opening_table.c.idx)
            .where(
                opening_table.c.tag.in_(tags), opening_table.c.idx > after, opening_table.c.name != without
            )
            .distinct()
            .order_by(opening_table.c.idx)
            .limit(limit)
        )
        return [int(row[0]) for row in rows]

    def rewrap(self, engine: Engine, successor: OpeningVault) -> int:
        """Encrypt every subject's key under the successor's master key; returns the number of keys changed.

        An interrupted run can be repeated. No other writer may run at the same time. After the old master key is
        destroyed, no older copy of the database opens what was erased.
        """
        done, last = 0, b""
        while True:
            with engine.begin() as conn:
                rows = conn.execute(
                    select(subject_table.c.tag, subject_table.c.wrapped)
                    .where(subject_table.c.tag > last)
                    .order_by(subject_table.c.tag)
                    .limit(_ROWS_PER_QUERY)
                ).all()
                if not rows:
                    return done
                old = [(tag, key) for tag, wrapped in rows if (key := self._old(successor, bytes(wrapped)))]
                if old:
                    conn.execute(
                        update(subject_table)
                        .where(subject_table.c.tag == bindparam("tag_"))
                        .values(wrapped=bindparam("wrapped_")),
                        [
                            {"tag_": tag, "wrapped_": aes_key_wrap(successor._wrap_key, key)}
                            for tag, key in old
                        ],
                    )
            done += len(old)
            last = bytes(rows[-1][0])

    def must_open(self, conn: Connection) -> None:
        """Raise `VaultKeyWrong` when a stored key is encrypted under another master key. One key is checked."""
        row = conn.execute(
            select(subject_table.c.wrapped).order_by(subject_table.c.tag).limit(1)
        ).one_or_none()
        if row is not None:
            self._unwrapped(bytes(row[0]))

    def forget_unopened(self, conn: Connection) -> int:
        """Delete the keys that this vault cannot decrypt and their unreadable openings; returns the number of keys."""
        gone = []
        for tag, wrapped in conn.execute(select(subject_table.c.tag, subject_table.c.wrapped)):
            try:
                self._unwrapped(bytes(wrapped))
            except VaultKeyWrong:
                gone.append(bytes(tag))
        self._delete(conn, gone)
        return len(gone)

    def _old(self, successor: OpeningVault, wrapped: bytes) -> bytes | None:
        """A key that is encrypted under this vault's master key; None for one under the successor's."""
        try:
            aes_key_unwrap(successor._wrap_key, wrapped)
        except InvalidUnwrap:
            return self._unwrapped(wrapped)
        return None

    def erase(self, conn: Connection, subject: str) -> int:
        """Delete a subject's key and openings in the caller's transaction; returns the number of openings deleted.

        Where an entry concerns several subjects, openings about all of them are deleted too, and the other subjects'
        own openings are kept. Use `ledger.audit.keeping.erasure.erase_subject`, which also logs the erasure and clears
        freed pages.
        """
        tag = self.tag(subject)
        nested = opening_table.c.name.contains("/", autoescape=True)
        naming = select(opening_table.c.idx).where(opening_table.c.tag == tag, nested)
        shared = select(opening_table.c.tag).where(
            opening_table.c.idx.in_(naming), ~nested, opening_table.c.tag.not_in([tag, self.tag("")])
        )
        return self._delete(conn, [tag, *conn.execute(shared.distinct()).scalars()])

    def _delete(self, conn: Connection, tags: Sequence[bytes]) -> int:
        gone = 0
        for start in range(0, len(tags), _ROWS_PER_QUERY):
            some = tags[start : start + _ROWS_PER_QUERY]
            gone += int(conn.execute(delete(opening_table).where(opening_table.c.tag.in_(some))).rowcount)
            conn.execute(delete(subject_table).where(subject_table.c.tag.in_(some)))
        return gone

    def _cipher(self, conn: Connection, tag: bytes) -> AESGCM:
        row = _SUBJECT.row(conn, tag_=tag)
        if row is None:
            raise NotReplayable("the key of this opening was erased")
        return self._unwrap(bytes(row[0]))

    def _unwrap(self, wrapped: bytes) -> AESGCM:
        return AESGCM(self._unwrapped(wrapped))

    def _unwrapped(self, wrapped: bytes) -> bytes:
        try:
            return aes_key_unwrap(self._wrap_key, wrapped)
        except InvalidUnwrap as error:
            raise VaultKeyWrong(
                "the vault key does not open this subject's key",
                hint="it was rotated: put back the vault key and the database of the same time",
            ) from error

    def _key(self, conn: Connection, tag: bytes) -> AESGCM:
        row = _SUBJECT.row(conn, tag_=tag)
        if row is not None:
            return self._unwrap(bytes(row[0]))
        key = secrets.token_bytes(32)
        conn.execute(insert(subject_table), {"tag": tag, "wrapped": aes_key_wrap(self._wrap_key, key)})
        return AESGCM(key)


def _associated(index: int, name: str) -> bytes:
    return b"%d\n%s" % (index, name.encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
