"""Builds the wheel of the department's client: ``python -m api.sdk.packed [DIRECTORY]``.

``civicledger-client`` has the same sources as ``civicledger`` and requires only what the SDK, the commands of a
department and the verifier need (`[tool.civicledger.client]` in pyproject.toml): no web3, no DuckDB, no server. A
command that needs more says so (``install.client``). Both packages have the same modules, so an environment can
have only one of them.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from api.protocol.version import CLIENT

ROOT = Path(__file__).resolve().parents[2]


def configuration() -> dict[str, Any]:
    """The pyproject.toml of the client's package; `LookupError` if it names a package that the whole package does
    not require."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    client, project = document["tool"]["civicledger"]["client"], document["project"]
    required = {_name(one): one for one in project["dependencies"]}
    project |= {
        "name": CLIENT,
        "description": client["description"],
        "dependencies": [required[name] for name in client["dependencies"]],
    }
    project["optional-dependencies"]["verify-chain"] = [required[name] for name in client["verify-chain"]]
    return document


def _name(requirement: str) -> str:
    """The package that a requirement names, without extras and versions."""
    return re.split(r"[\[<>=~!; ]", requirement, maxsplit=1)[0]


def write(folder: Path) -> Path:
    """Write the wheel into a folder and return its path. Needs hatchling."""
    from hatchling.builders.wheel import WheelBuilder
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    document, plugins = configuration(), PluginManager()
    builder = WheelBuilder(str(ROOT), plugins, document, ProjectMetadata(str(ROOT), plugins, document))
    return Path(next(iter(builder.build(directory=str(folder), versions=["standard"]))))


def main() -> int:
    """Write the wheel and print its path."""
    place = write(Path(sys.argv[1] if len(sys.argv) > 1 else "dist"))
    print(f"{place}  {place.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
