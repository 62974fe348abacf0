"""The vocabulary of terms: DPV purposes and legal bases, and the actions of the profile; each is a hierarchy.

The concepts are in ``data/dpv.json`` (Data Privacy Vocabulary 2.3: terms, labels, hierarchy). The actions ``use``, ``read``,
``aggregate`` and ``derive`` are those of ODRL 2.2; ``match`` and ``redistribute`` are defined here. No broader action
includes ``redistribute``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from access_policy.errors import PolicyError
from languages.choice import Language
from languages.texts import N_, translated

DEPARTMENT = "urn:civic:dept:"
"""The prefix of the IRIs of departments."""
ASSET = "urn:civic:asset:"
"""The prefix of the IRIs of assets."""

_OURS = re.compile(r"urn:civic:(?:dept:(?:any|[1-9][0-9]{0,7})|asset:[1-9][0-9]{0,7}\.[1-9][0-9]{0,12})")


def is_misspelt(iri: str) -> bool:
    """Whether this names a department or an asset in a form other than the canonical one, which would match nothing.

    The canonical form is that of ``ledger.ids``, which this package may not import; a test compares both.
    """
    return iri.lower().startswith((DEPARTMENT, ASSET)) and not _OURS.fullmatch(iri)


ANY_DEPARTMENT = "urn:civic:dept:any"
"""The assignee of a standing grant: all admitted departments."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept: its id (``dpv:AcademicResearch``), its direct parents, its labels by language."""

    id: str
    broader: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]

    def label(self, language: Language) -> str:
        """The label in that language, or in English if there is none."""
        labels = dict(self.labels)
        return labels.get(language, labels["en"])


class Scheme:
    """A directed acyclic graph of concepts with precomputed closures in both directions.

    Closures are reflexive: a concept is its own ancestor and descendant.
    """

    def __init__(self, concepts: Iterable[Concept], *, namespaces: Mapping[str, str]) -> None:
        self.concepts: dict[str, Concept] = {c.id: c for c in concepts}
        self._namespaces = dict(namespaces)
        self.ancestors: dict[str, frozenset[str]] = {}
        for concept in self.concepts:
            self._climb(concept, ())
        below: dict[str, set[str]] = {c: set() for c in self.concepts}
        for concept, above in self.ancestors.items():
            for ancestor in above:
                below[ancestor].add(concept)
        self.descendants: dict[str, frozenset[str]] = {c: frozenset(s) for c, s in below.items()}

    def _climb(self, concept: str, path: tuple[str, ...]) -> frozenset[str]:
        if concept in path:
            raise PolicyError(f"the hierarchy turns back on itself at {concept}")
        known = self.ancestors.get(concept)
        if known is None:
            parents = self.concepts[concept].broader
            known = frozenset((concept,)).union(*(self._climb(p, (*path, concept)) for p in parents))
            self.ancestors[concept] = known
        return known

    def __contains__(self, concept: object) -> bool:
        return concept in self.concepts

    def is_a(self, concept: str, ancestor: str) -> bool:
        """Whether ``concept`` is ``ancestor`` or below it; False for unknown concepts."""
        return ancestor in self.ancestors.get(concept, ())

    def below(self, concepts: Iterable[str]) -> frozenset[str]:
        """Every concept that is one of ``concepts`` or below one of them."""
        return frozenset().union(*(self.descendants.get(c, frozenset()) for c in concepts))

    def compact(self, term: str) -> str:
        """The short id of a concept given as a full IRI; any other text is returned unchanged."""
        for prefix, namespace in self._namespaces.items():
            if term.startswith(namespace):
                return prefix + term[len(namespace) :]
        return term

    def label(self, concept: str, language: Language) -> str:
        """The label of a concept; for an unknown concept the concept itself."""
        known = self.concepts.get(concept)
        return known.label(language) if known else concept

    def close_to(self, term: str) -> tuple[str, ...]:
        """Concepts with ids similar to ``term``."""
        return close_matches(term, self.concepts)


def close_matches(term: str, known: Iterable[str]) -> tuple[str, ...]:
    """Up to three known terms that are similar to ``term``, without regard to case and prefix, in a stable order."""
    by_key: dict[str, str] = {}
    for name in sorted(known):
        by_key.setdefault(name.rpartition(":")[2].lower(), name)
    key = term[:80].rpartition(":")[2].lower()
    return tuple(by_key[k] for k in difflib.get_close_matches(key, list(by_key), n=3, cutoff=0.6))


@cache
def _data() -> dict[str, dict[str, dict[str, object]]]:
    text = (Path(__file__).parents[1] / "data" / "dpv.json").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, dict[str, object]]] = json.loads(text)
    return loaded


def _scheme(member: str) -> Scheme:
    concepts = []
    for term, entry in _data()[member].items():
        broader = entry.get("broader", ())
        assert isinstance(broader, list | tuple)
        labels = tuple((k, str(entry[k])) for k in ("en", "zh") if k in entry)
        concepts.append(Concept(term, tuple(map(str, broader)), labels))
    return Scheme(concepts, namespaces={"dpv:": "https://w3id.org/dpv#"})


ANY_PURPOSE = "dpv:Purpose"
"""The root of all purposes: ``isA dpv:Purpose`` permits every purpose. A call cannot have it as its purpose."""


@cache
def purposes() -> Scheme:
    """The 121 purposes of DPV 2.3 (a DAG: eleven of them have two parents) below their root, ``ANY_PURPOSE``."""
    return _scheme("purposes")


@cache
def call_purposes() -> frozenset[str]:
    """The purposes that a call may have: all but the root."""
    return frozenset(purposes().concepts) - {ANY_PURPOSE}


@cache
def legal_bases() -> Scheme:
    """The legal bases and consent types of DPV 2.3."""
    return _scheme("legal_bases")


_ACTIONS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("use", (), N_("use")),
    ("read", ("use",), N_("read rows")),
    ("aggregate", ("use",), N_("compute statistics")),
    ("match", ("use",), N_("match against a list")),
    ("derive", ("use",), N_("derive a new asset")),
    ("redistribute", (), N_("pass on to others")),
)

_DUTY_ACTIONS: tuple[tuple[str, str], ...] = (
    ("accept", N_("accept the terms")),
    ("assess", N_("complete the impact assessment")),
    ("attribute", N_("name the source")),
    ("inform", N_("notify the provider")),
    ("delete", N_("delete the data received")),
    ("report", N_("report on the use")),
)


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    return ("en", text), ("zh", translated(text, "zh"))


@cache
def actions() -> Scheme:
    """The actions a rule may permit or prohibit, by ``includedIn``."""
    return Scheme(
        (Concept(name, broader, _labels(text)) for name, broader, text in _ACTIONS),
        namespaces={"": "http://www.w3.org/ns/odrl/2/"},
    )


@cache
def duty_actions() -> Scheme:
    """The actions that a duty may require; they have no hierarchy."""
    return Scheme(
        (Concept(name, (), _labels(text)) for name, text in _DUTY_ACTIONS),
        namespaces={"": "http://www.w3.org/ns/odrl/2/"},
    )
