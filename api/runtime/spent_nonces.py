"""The nonces that calls have spent, as this service remembers them beside the database.

``call_nonce`` has them too, committed with what the call did. A row that somebody deletes there would let a captured call
be answered once more; this memory, and its file in the home for a service that starts again, do not forget it. The file
is not synced: after a power cut the table says what was spent last.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from pathlib import Path

from ledger.clock import Clock, Forgetting

_RECORD = struct.Struct(">Q32s")
_SPARE = 65_536
"""Records of nonces long forgotten that the file may hold beside those that count."""


class SpentNonces:
    """The spent nonces of one home. ``keep_s``: seconds for which one is kept. Thread-safe, for one process."""

    def __init__(self, file: Path, clock: Clock, keep_s: float) -> None:
        self._file = file
        self._clock = clock
        self._keep_s = keep_s
        self._forgetting = Forgetting(clock, keep_s)
        self._lock = threading.Lock()
        self._until = self._read()
        self._written = 0
        self._output = self._rewritten()

    def spend(self, key_id: str, nonce: str) -> bool:
        """Note a nonce; False when this key has spent it before."""
        named = hashlib.sha256(f"{key_id}\0{nonce}".encode()).digest()
        with self._lock:
            self._forget()
            if named in self._until:
                return False
            until = int(self._clock.now() + self._keep_s) + 1
            _append(self._output, _RECORD.pack(until, named))
            self._written += 1
            self._until[named] = until
            return True

    def close(self) -> None:
        """Close the file; nothing is spent afterwards."""
        with self._lock:
            os.close(self._output)

    def _forget(self) -> None:
        before = self._forgetting.before()
        if before is None:
            return
        self._until = {named: until for named, until in self._until.items() if until >= before}
        if self._written > len(self._until) + _SPARE:
            before_it, self._output = self._output, self._rewritten()
            os.close(before_it)

    def _read(self) -> dict[bytes, int]:
        """What a service before this one noted and is not over; a record that was cut off is none."""
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return {}
        whole = data[: len(data) - len(data) % _RECORD.size]
        now = self._clock.now()
        return {named: until for until, named in _RECORD.iter_unpack(whole) if until >= now}

    def _rewritten(self) -> int:
        """The file with what counts and nothing else, open for more."""
        draft = self._file.with_name(self._file.name + ".part")
        output = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _append(output, b"".join(_RECORD.pack(until, named) for named, until in self._until.items()))
            draft.replace(self._file)
        except BaseException:
            os.close(output)
            raise
        self._written = len(self._until)
        return output


def _append(output: int, data: bytes) -> None:
    """All of it, or OSError and nothing: part of a record would shift every record behind it."""
    written = 0
    try:
        while written < len(data):
            written += os.write(output, data[written:])
    except OSError:
        os.ftruncate(output, os.fstat(output).st_size - written)
        raise
