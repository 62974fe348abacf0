"""The systemd units of an installation, written with the path of this ``civic`` (``api/operator/hosting``)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from api.runtime.settings import HomeError

_PLACE = "@CIVIC@"


class UnitExists(HomeError):
    """There is a unit file already, which its operator may have changed."""

    code = "home.exists"


def unit_texts(civic: Path) -> dict[str, str]:
    """The units by file name; ``civic`` is the command that they run."""
    templates = files("api.operator").joinpath("hosting").iterdir()
    return {
        one.name: one.read_text("utf-8").replace(_PLACE, str(civic))
        for one in sorted(templates, key=lambda one: one.name)
        if one.name.endswith((".service", ".timer"))
    }


def write_units(folder: Path, civic: Path) -> list[Path]:
    """Write the units into a directory, all or none; UnitExists if one of them is there."""
    texts = unit_texts(civic)
    there = [name for name in texts if (folder / name).exists()]
    if there:
        raise UnitExists(
            f"there is {', '.join(there)} in {folder} already",
            hint="name another directory, and compare the files",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in texts]
