"""The error for a refused file: a stable code, the file, and the position in it."""

from __future__ import annotations

from pathlib import Path

from api.protocol.errors import ClientError


class FileError(ClientError):
    """A file from which no dataset can be made. Nothing was written.

    ``line`` counts lines of the file from 1, ``byte`` bytes from 0, ``cell`` is a workbook's cell, such as
    ``Sheet1!B7``. The message contains no value of the file.
    """

    code = "file.invalid"

    def __init__(
        self,
        code: str,
        path: Path,
        message: str,
        *,
        hint: str | None = None,
        line: int | None = None,
        byte: int | None = None,
        cell: str | None = None,
    ) -> None:
        where = f", line {line}" if line else ""
        where += f", byte {byte}" if byte is not None else ""
        where += f", cell {cell}" if cell else ""
        super().__init__(f"{path.name}{where}: {message}", hint=hint, code=code)
        self.file = path.name
        self.line = line
        self.byte = byte
        self.cell = cell
