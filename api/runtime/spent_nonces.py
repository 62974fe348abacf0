"""The nonces that calls have spent, stored by this service in a file beside the database.

``call_nonce`` has them too, committed with the effect of the call. If a row is deleted there, a captured call could
be answered again; this file, which is read at the next start, prevents that. The file is not synced: after a power
failure the table has the last ones.
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
"""The number of expired records that the file may hold beside those that count."""


class SpentNonces:
    """The spent nonces of one home, each kept for ``keep_s`` seconds. Thread-safe, for one process."""

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
        """Record a nonce; False if this key has spent it before."""
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
        """The records of an earlier process that have not expired; an incomplete record is ignored."""
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return {}
        whole = data[: len(data) - len(data) % _RECORD.size]
        now = self._clock.now()
        return {named: until for until, named in _RECORD.iter_unpack(whole) if until >= now}

    def _rewritten(self) -> int:
        """Write the file with only the records that count, and open it for appending."""
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
    """Write all bytes, or raise OSError and write none: a partial record would shift all following records."""
    written = 0
    try:
        while written < len(data):
            written += os.write(output, data[written:])
    except OSError:
        os.ftruncate(output, os.fstat(output).st_size - written)
        raise
