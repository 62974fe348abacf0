"""A second copy of the engine with one change in its source, imported beside the real one.

A mutant is a text replaced once in one module. The world is imported afresh with a loader that replaces the text
in memory; nothing is written, nothing is mocked: the judges run the changed code itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import access_policy
from access_policy.decision.answers import Context, Request

ROOT = Path(access_policy.__file__).parent
PREFIX = "access_policy"
_COMPILED: dict[str, Any] = {}


@dataclass(frozen=True)
class Mutant:
    """``old`` becomes ``new`` in ``module``, where it occurs once."""

    name: str
    module: str
    old: str
    new: str

    def source(self) -> str:
        """The changed source; an error unless the text occurs exactly once, so that no mutant becomes
        outdated."""
        text = ROOT.joinpath(*self.module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise LookupError(
                f"{self.name}: {self.old!r} occurs {text.count(self.old)} times in {self.module}"
            )
        return text.replace(self.old, self.new)


class _Finder:
    """Imports the modules of the package from their files, with one of them changed; compiled code is kept."""

    def __init__(self, mutant: Mutant | None) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        if name.partition(".")[0] != PREFIX:
            return None
        place = ROOT.joinpath(*name.split(".")[1:])
        package = place.is_dir()
        file = place / "__init__.py" if package else place.with_suffix(".py")
        spec = importlib.util.spec_from_loader(name, self, origin=str(file), is_package=package)
        assert spec is not None
        if package:
            spec.submodule_search_locations = [str(place)]
        return spec

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        name = module.__name__
        file = module.__spec__.origin if module.__spec__ else None
        assert file is not None
        module.__file__ = file
        if self.mutant is not None and name == f"{PREFIX}.{self.mutant.module}":
            code = compile(self.mutant.source(), f"{file} ({self.mutant.name})", "exec")
        else:
            if name not in _COMPILED:
                _COMPILED[name] = compile(Path(file).read_text(encoding="utf-8"), file, "exec")
            code = _COMPILED[name]
        exec(code, module.__dict__)


class World:
    """The engine of one copy, called with documents and with this copy's requests and contexts."""

    def __init__(self, modules: dict[str, types.ModuleType]) -> None:
        self._engine = modules["access_policy.decision.engine"]
        self._terms = modules["access_policy.terms.agreement"]
        self._decision = modules["access_policy.decision.answers"]

    def engine(
        self,
        grants: dict[str, Any],
        states: dict[str, str] | None = None,
        above: dict[str, Any] | None = None,
    ) -> Any:
        made = self._engine.Engine()
        chain = tuple((name, self._terms.parse_terms(document)) for name, document in (above or {}).items())
        for grant, document in grants.items():
            state = (states or {}).get(grant, "live")
            made.add(grant, self._terms.parse_terms(document), state, chain)
        return made

    def ask(self, engine: Any, request: Request, context: Context) -> Any:
        here = self._decision
        asked = here.Request(**{f.name: getattr(request, f.name) for f in fields(Request)})
        known = here.Context(**{f.name: getattr(context, f.name) for f in fields(Context)})
        return engine.decide(asked, known)


@contextmanager
def world(mutant: Mutant | None) -> Iterator[World]:
    """The copy with this mutant (None: the unchanged engine); the real modules are not changed."""
    kept = {n: m for n, m in sys.modules.items() if n == PREFIX or n.startswith(PREFIX + ".")}
    finder = _Finder(mutant)
    for name in kept:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
    try:
        importlib.import_module("access_policy.decision.engine")
        made = {n: m for n, m in sys.modules.items() if n == PREFIX or n.startswith(PREFIX + ".")}
    finally:
        sys.meta_path.remove(finder)  # type: ignore[arg-type]
        for name in [n for n in sys.modules if n == PREFIX or n.startswith(PREFIX + ".")]:
            del sys.modules[name]
        sys.modules.update(kept)
    yield World(made)
