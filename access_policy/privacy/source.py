"""Where an asset's bytes lie, and the check that they lie where the operator allows.

The engine confines itself to its allowed directories as well; this check comes first, so that a wrong path
is refused without a worker, and catches what the engine would read as a pattern (``*``, ``?``, ``[``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from access_policy.errors import PolicyError
from access_policy.privacy.schema import AssetSchema

SourceFormat: TypeAlias = Literal["csv", "parquet"]
_PATTERN = frozenset("*?[]{}\x00")


class SourceError(PolicyError):
    """A source cannot be read at all: refused, missing, or not what its schema says."""

    code = "source.invalid"


class SourceForbidden(SourceError):
    """The path is outside the directories that the operator allows."""

    code = "source.forbidden"


class SourceMissing(SourceError):
    """No file is there."""

    code = "source.missing"


class SourceChanged(SourceError):
    """The file is not the one whose SHA-256 was signed, or was changed while it was read."""

    code = "source.changed"


class SourceMismatch(SourceError):
    """The file lacks columns that its schema declares, or cannot be opened as its format."""

    code = "source.mismatch"


@dataclass(frozen=True, slots=True)
class Source:
    """A file of an asset: an absolute path, its format, its declared columns, and the SHA-256 (hex) of its content.

    Without a digest (a file that was just received, before it is an asset's) nobody checks what the file holds.
    """

    path: str
    format: SourceFormat
    schema: AssetSchema
    sha256: str | None = None


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
