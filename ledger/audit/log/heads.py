"""The stored head of the log: the state row, and whether the log signed what it says."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import Connection

from ledger.audit.formats.checkpoint import Head, opened_by
from ledger.audit.formats.errors import LogCorrupt, NoteInvalid
from ledger.audit.formats.merkle import HASH_SIZE, fold
from ledger.audit.formats.note import VerifierKey
from ledger.store.prepared import fetched
from ledger.store.stored import StoreDamaged
from ledger.store.tables import table_of
from ledger.store.tables.audit import AuditState

state_table = table_of(AuditState)

# Every append and every proof begins with this statement: plain SQL costs a third.
READ_STATE = "SELECT size, root, frontier, note FROM audit_state WHERE id = 1"
_LOCK_STATE = READ_STATE + " FOR UPDATE"
_FSCK = "run civic audit fsck"
_MOST_HEADS = 256


@dataclass(frozen=True, slots=True)
class State:
    """The state row: head, peaks from left to right, signed checkpoint."""

    size: int
    root: bytes
    frontier: tuple[bytes, ...]
    note: str

    @property
    def head(self) -> Head:
        return Head(self.size, self.root)


class SignedHeads:
    """Which stored heads the log's own key signed. What was found signed once is remembered. Thread-safe.

    Every commit signs its head, so there is no other: whoever writes the database can put entries and hashes there, and
    a state row that agrees with them, but no signature.
    """

    def __init__(self, keys: Sequence[VerifierKey]) -> None:
        self._keys = tuple(keys)
        self._lock = Lock()
        self._known: OrderedDict[State, None] = OrderedDict()

    def require(self, state: State) -> None:
        """Raise `LogCorrupt` unless the state's note signs its head, and its peaks lead to that head."""
        if not self._keys or state in self._known:
            return
        try:
            signed = opened_by(state.note, self._keys)
        except NoteInvalid as unsigned:
            raise LogCorrupt("the log did not sign the stored head", hint=_FSCK) from unsigned
        if signed.checkpoint.head != state.head:
            raise LogCorrupt("the stored checkpoint does not sign the stored head", hint=_FSCK)
        if fold(state.frontier) != state.root:
            raise LogCorrupt("the stored peaks do not fold to the stored root", hint=_FSCK)
        self.remember(state)

    def remember(self, state: State) -> None:
        """This process signed the head itself."""
        with self._lock:
            self._known[state] = None
            if len(self._known) > _MOST_HEADS:
                self._known.popitem(last=False)


def read_state(conn: Connection, *, lock: bool = False) -> State:
    """The state row in this transaction, locked for update if asked."""
    try:
        rows = fetched(conn, _LOCK_STATE if lock else READ_STATE, (), (int, bytes, bytes, str))
    except StoreDamaged as damaged:
        raise LogCorrupt("the stored state is malformed", hint=_FSCK) from damaged
    if not rows:
        raise LogCorrupt("the log has not been created", hint="open it once with AuditLog.open")
    size, root, raw, note = rows[0]
    if size < 0:
        raise LogCorrupt("the stored state is malformed", hint=_FSCK)
    frontier = tuple(raw[i : i + HASH_SIZE] for i in range(0, len(raw), HASH_SIZE))
    if len(frontier) != size.bit_count():
        raise LogCorrupt("the stored peaks do not fit the stored size")
    return State(size, root, frontier, note)
