"""An environment in which only the client's package and what it requires are installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement

from api.sdk.packed import configuration, write
from docs.licences import closure


class ClientEnvironment:
    """``ours`` is the folder of the package itself; ``bytes`` is the size of all its packages, without
    compiled Python files."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.packages = folder / "ours", folder / "packages"
        wheel = write(folder)
        ZipFile(wheel).extractall(self.ours)
        self.bytes = sum(one.file_size for one in ZipFile(wheel).infolist())
        wanted = closure(Requirement(one) for one in configuration()["project"]["dependencies"])
        self.names = frozenset(wanted)
        for package in wanted.values():
            self._take(package.metadata["Name"])

    def _take(self, name: str) -> None:
        for file in distribution(name).files or ():
            source = Path(str(file.locate()))
            if ".." in file.parts or source.suffix == ".pyc" or not source.is_file():
                continue
            place = self.packages / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(source)
            self.bytes += source.stat().st_size

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python without its own site-packages."""
        return subprocess.run(
            [sys.executable, "-S", "-P", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{self.ours}{os.pathsep}{self.packages}",
                **environment,
            },
        )

    def civic(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return self.python("-m", "api.cli.main", *map(str, arguments), **environment)
