"""The files of an asset, and the check that they are in directories that the operator allows.

The engine restricts itself to these directories too. This check runs first, so that a wrong path is refused without a worker,
and it also refuses characters that the engine would read as a pattern (``*``, ``?``, ``[``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from access_policy.errors import PolicyError
from access_policy.privacy.schema import AssetSchema

SourceFormat: TypeAlias = Literal["csv", "parquet"]
LINE = 2 << 20
"""The longest line of a CSV file in characters, which is the engine's limit."""
SMALL = 8 << 20
"""Bytes of a file that one thread reads in any case. (The reader for one thread does not notice a quote that is not closed;
the check at registration does.)"""
_PATTERN = frozenset("*?[]{}\x00")


class SourceError(PolicyError):
    """A source cannot be read: it is forbidden, missing, or does not match its schema."""

    code = "source.invalid"


class SourceForbidden(SourceError):
    """The path is outside the allowed directories."""

    code = "source.forbidden"


class SourceMissing(SourceError):
    """There is no file at the path."""

    code = "source.missing"


class SourceChanged(SourceError):
    """The file does not have the signed SHA-256, or was changed while it was read."""

    code = "source.changed"


class SourceMismatch(SourceError):
    """The file lacks columns that its schema declares, or cannot be opened as its format."""

    code = "source.mismatch"


class PartsDiffer(SourceMismatch):
    """The parts of a table have different types; types are not converted."""

    code = "parts.types"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: an absolute path, and the SHA-256 (hex) of its content."""

    path: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A file of an asset: an absolute path, its format, its declared columns, and the SHA-256 (hex) of its content.

    Without a digest (an uploaded file before its registration) the content is not checked against a signature. A table
    that grows has ``further`` files, its other parts: all are read as one, in this order.
    """

    path: str
    format: SourceFormat
    schema: AssetSchema
    sha256: str | None = None
    further: tuple[SourceFile, ...] = ()

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """All files, in the order of their rows."""
        return (SourceFile(self.path, self.sha256), *self.further)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all files."""
        return tuple(file.path for file in self.files)

    @property
    def read_from(self) -> str | list[str]:
        """The argument of the engine's reader: one path, or a list."""
        return list(self.paths) if self.further else self.path

    def over(self, files: Sequence[SourceFile]) -> Source:
        """A source with the same schema and these files (at least one)."""
        first, *further = files
        return replace(self, path=first.path, sha256=first.sha256, further=tuple(further))


def splits_at_lines(path: str) -> bool:
    """Whether several threads can read a CSV file in parallel, split at line ends: no quoted text contains a line end. The
    engine would detect such a text late, with an error after some 70 MB."""
    found = os.stat(path)
    return found.st_size <= SMALL or _each_line_whole(path, found.st_size, found.st_mtime_ns)


@lru_cache(1_000)
def _each_line_whole(path: str, _size: int, _written_ns: int) -> bool:
    with open(path, "rb") as file:
        return all(line.count(b'"') % 2 == 0 for line in iter(lambda: file.readline(LINE), b""))


def confine(path: str, allowed: Sequence[Path]) -> Path:
    """The real path of a regular file under one of ``allowed`` (real directories), links resolved.

    Raises SourceForbidden or SourceMissing. The message never names a path: callers are not operators.
    """
    if not path or _PATTERN & set(path):
        raise SourceForbidden("a source is the plain path of one file")
    try:
        real = Path(path).resolve(strict=True)
    except (OSError, RuntimeError):
        raise SourceMissing("the asset's file is not there") from None
    if not any(real.is_relative_to(directory) for directory in allowed):
        raise SourceForbidden("the asset's file is outside the directories allowed to the scanner")
    if not real.is_file() or _PATTERN & set(str(real)):
        raise SourceForbidden("a source is the plain path of one file")
    return real
