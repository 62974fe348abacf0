"""The stored head of the log: the state row and the check of its signature."""

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

# Every append and every proof runs this statement: plain SQL takes a third of the time of SQLAlchemy's.
READ_STATE = "SELECT size, root, frontier, note FROM audit_state WHERE id = 1"
_LOCK_STATE = READ_STATE + " FOR UPDATE"
_FSCK = "run civic audit fsck"
_MAX_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class State:
    """The state row: size and root, peaks from left to right, signed checkpoint (text of a note)."""

    size: int
    root: bytes
    frontier: tuple[bytes, ...]
    note: str

    @property
    def head(self) -> Head:
        return Head(self.size, self.root)


class SignedHeads:
    """Checks that a key of the log signed a stored head, and remembers the checked heads. Thread-safe.

    Every commit signs its head. An attacker who can write the database can store entries, hashes and a state row that
    agrees with them, but cannot make the signature.
    """

    def __init__(self, keys: Sequence[VerifierKey]) -> None:
        self._keys = tuple(keys)
        self._lock = Lock()
        self._known: OrderedDict[State, None] = OrderedDict()

    def require(self, state: State) -> None:
        """Raise `LogCorrupt` unless the state's note signs its head and the root of its peaks is that of the head."""
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
        """Remember a head as checked, also one that this process signed itself."""
        with self._lock:
            self._known[state] = None
            if len(self._known) > _MAX_REMEMBERED:
                self._known.popitem(last=False)


def read_state(conn: Connection, *, lock: bool = False) -> State:
    """Read the state row in this transaction, with ``lock`` for update. Raises `LogCorrupt`."""
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
