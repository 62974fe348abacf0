"""The high-water mark of a home's log: its path, and the check that the home is not older.

A mark inside the home would be restored from a backup together with the home, so it is outside. A mark that an
earlier version left inside is moved.
"""

from __future__ import annotations

import os
from pathlib import Path

from api.runtime.settings import Home, Settings, SettingsInvalid
from ledger.audit.formats.errors import RollbackDetected
from ledger.audit.log.highwater import HighWaterMark


def mark_file(home: Home, settings: Settings) -> Path:
    """The path of the mark of the home's present epoch."""
    return (settings.high_water or home.high_water_folder) / home.high_water_name


def had_log(home: Home, settings: Settings) -> bool:
    """Whether this home's log was ever created: its ``civic.json`` says so, or there is a mark of it."""
    marks = [*marks_of(home, settings).values(), home.old_high_water_file]
    return home.begun or any(mark.is_file() and mark.stat().st_size for mark in marks)


def open_mark(home: Home, settings: Settings) -> HighWaterMark:
    """The mark, ready to be read and raised. `RollbackDetected` if there is one of a later epoch: the home is older."""
    marks = marks_of(home, settings)
    newer = [epoch for epoch in marks if epoch > home.epoch]
    if newer:
        raise RollbackDetected(
            f"this home is of epoch {home.epoch} of its log, and there is a high-water mark of epoch {max(newer)}",
            hint="an older home was restored: restore the newest one. Where it is lost for good, begin a new epoch (civic"
            f" audit epoch): it sets {', '.join(str(marks[epoch]) for epoch in sorted(newer))} aside",
        )
    file = mark_file(home, settings)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _move_old_mark(home.old_high_water_file, file)
        return HighWaterMark(file)
    except OSError as failed:
        raise SettingsInvalid(
            f"the high-water mark cannot be kept in {file.parent}: {failed.strerror}",
            hint="CIVIC_HIGH_WATER names a directory that the service may write, outside the home",
        ) from failed


def set_later_marks_aside(home: Home, settings: Settings) -> list[Path]:
    """Rename the marks of later epochs to ``NAME.lost`` and return their new paths, the oldest epoch first.

    Only for a council's act that opened the epoch after this one on a chain that did not know it: then those epochs
    are lost.
    """
    marks = marks_of(home, settings)
    aside = []
    for epoch in sorted(epoch for epoch in marks if epoch > home.epoch):
        place = marks[epoch].with_name(f"{marks[epoch].name}.lost")
        number = 1
        while place.exists():
            number += 1
            place = place.with_name(f"{marks[epoch].name}.lost{number}")
        aside.append(marks[epoch].rename(place))
    return aside


def marks_of(home: Home, settings: Settings) -> dict[int, Path]:
    """The marks of this installation by epoch."""
    file = mark_file(home, settings)
    found = {}
    for one in file.parent.glob(f"{home.installation}-*"):
        number = one.name.rpartition("-")[2]
        if number.isascii() and number.isdigit() and one.stat().st_size:
            found[int(number)] = one
    return found


def _move_old_mark(inside: Path, file: Path) -> None:
    """Move the mark of an earlier version out of the home; an existing mark outside is newer and is kept."""
    if not inside.is_file():
        return
    if not file.exists():
        draft = file.with_name(f"{file.name}.new")
        with draft.open("wb") as copy:
            copy.write(inside.read_bytes())
            copy.flush()
            os.fsync(copy.fileno())
        draft.replace(file)
    inside.unlink()
