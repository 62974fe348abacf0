"""The tests of the engine are tested: seeded mutants of it, each of which a judge must distinguish from the
engine.

The judges are Cedar's answers to random calls and the decisions stated by hand in ``cases.py``.
"""

from __future__ import annotations

import random
from typing import Any

import cedarpy
import pytest

from . import cedar, generators
from .cases import CASES, Case, told
from .mutation import Mutant, World, world

CITIES, CALLS = 14, 110

MUTANTS: tuple[Mutant, ...] = (
    # engine
    Mutant(
        "end is inclusive", "decision.judge", "rule.start <= now < rule.end", "rule.start <= now <= rule.end"
    ),
    Mutant(
        "start is exclusive", "decision.judge", "rule.start <= now < rule.end", "rule.start < now < rule.end"
    ),
    Mutant("one use too many", "decision.reasons", "0 <= used < limit", "0 <= used <= limit"),
    Mutant("negative uses", "decision.reasons", "0 <= used < limit", "used < limit"),
    Mutant("uses of anybody", "decision.judge", "used.get(rule.grant, 0)", "sum(used.values())"),
    Mutant("filter columns unchecked", "decision.judge", "(filtered and not", "(not filtered and not"),
    Mutant(
        "indeterminate permits", "decision.judge", "rule.rest(call) is not True", "rule.rest(call) is False"
    ),
    Mutant("prohibitions forgotten", "decision.judge", "if rule.bare and not banned:", "if rule.bare:"),
    Mutant("suspended counts as live", "decision.judge", 'grant.state == "live"', 'grant.state != "revoked"'),
    Mutant(
        "refined action unchecked",
        "decision.judge",
        "refinement.check(call) is True",
        "refinement.check(call) is not False",
    ),
    Mutant("party unchecked", "decision.judge", "all(n.check(call) is True for n in grant.party)", "True"),
    Mutant("remedies unchecked", "decision.judge", "and not unremedied(grant.id, grant.remedies, call)", ""),
    Mutant("duties unchecked", "decision.judge", "if owed and strict:", "if owed and not strict:"),
    Mutant("purpose unchecked", "decision.judge", "or purpose not in rule.purposes ", ""),
    Mutant("unknown purpose", "decision.judge", "if request.purpose not in _PURPOSES:", "if False:"),
    Mutant("anybody is a caller", "decision.judge", "if request.assignee == ANY_DEPARTMENT:", "if False:"),
    Mutant(
        "companies are departments", "decision.engine", "if assignee.startswith(DEPARTMENT):", "if assignee:"
    ),
    Mutant("naive instants", "decision.judge", "now.utcoffset() is None or ", ""),
    Mutant(
        "asset collections forgotten",
        "decision.engine",
        "(asset, *context.collections.get(asset, ()))",
        "(asset,)",
    ),
    Mutant("transforms of unreleased columns", "decision.judge", "if c in kept}", "if c not in kept}"),
    Mutant("row filter dropped", "decision.judge", "rows = rule.permission.target.rows", "rows = None"),
    Mutant(
        "most privileged first",
        "decision.judge",
        "key=lambda pair: pair[0].privilege)",
        "key=lambda pair: pair[0].privilege, reverse=True)",
    ),
    Mutant("versions unchecked", "decision.judge", "if versions and fits(", "if not versions and fits("),
    Mutant(
        "versions of others above",
        "decision.judge",
        "version=read or request.version",
        "version=request.version",
    ),
    Mutant("an unknown version above", "decision.judge", "answer.version not in (None, read)", "False"),
    Mutant("a pin fits any version", "decision.answers", "request.version in (None, pin)", "True"),
    Mutant("any version is the current", "decision.answers", "request.version == context.version", "True"),
    Mutant(
        "unknown is current",
        "decision.answers",
        "return None if context.version is None",
        "return True if context.version is None",
    ),
    Mutant("pins first", "decision.answers", "return 0 if pin is None", "return 1 << 40 if pin is None"),
    Mutant("oldest pin first", "decision.answers", "else -pin + (1 << 33)", "else pin"),
    # compiled
    Mutant("end by the latest", "decision.compiled", "end = min(end, c.value)", "end = max(end, c.value)"),
    Mutant("purposes added up", "decision.compiled", "else allowed & chosen", "else allowed | chosen"),
    Mutant("use limit by the largest", "decision.compiled", "min(limit, c.value)", "max(limit, c.value)"),
    Mutant(
        "strict end taken as inclusive start",
        "decision.compiled",
        'c.operator == "gteq":',
        'c.operator in ("gteq", "lteq"):',
    ),
    Mutant("duties are nothing", "decision.compiled", "bare and not permission.duties and", "bare and"),
    Mutant("refinements are nothing", "decision.compiled", " and not any(covers.values()),", ","),
    Mutant(
        "suspension is nothing",
        "decision.compiled",
        'bare = state == "live" and not party',
        "bare = not party",
    ),
    Mutant(
        "party is nothing", "decision.compiled", 'state == "live" and not party and', 'state == "live" and'
    ),
    Mutant("remedies are nothing", "decision.compiled", "and not remedies and not", "and not"),
    Mutant(
        "prohibitions only downwards",
        "decision.compiled",
        "pointer, upwards=True)",
        "pointer, upwards=False)",
    ),
    Mutant("permissions upwards", "decision.compiled", "pointer, upwards=False)", "pointer, upwards=True)"),
    Mutant(
        "refinement binds the plain use",
        "decision.compiled",
        "if len(refined) < len(nodes):",
        "if not refined:",
    ),
    Mutant("transforms make more privileged", "decision.compiled", "-len(transforms),", "len(transforms),"),
    # bans
    Mutant(
        "unknown prohibition ignored",
        "decision.bans",
        "if False not in states:",
        "if False not in states and None not in states:",
    ),
    Mutant(
        "permission always wins",
        "decision.bans",
        'if own and grant.agreement.conflict == "perm":',
        'if grant.agreement.conflict == "perm":',
    ),
    Mutant(
        "permission never wins",
        "decision.bans",
        'if own and grant.agreement.conflict == "perm":',
        "if False:",
    ),
    Mutant(
        "void is ignored", "decision.bans", 'if own and grant.agreement.conflict == "invalid":', "if False:"
    ),
    Mutant(
        "void reaches others",
        "decision.bans",
        'if own and grant.agreement.conflict == "invalid":',
        'if grant.agreement.conflict == "invalid":',
    ),
    Mutant(
        "named column taken away",
        "decision.bans",
        "or request.columns or hit & filtered",
        "or hit & filtered",
    ),
    Mutant(
        "filter on prohibited column",
        "decision.bans",
        "or request.columns or hit & filtered",
        "or request.columns",
    ),
    Mutant(
        "columns of prohibition ignored",
        "decision.bans",
        "if e.ban.columns is None else touched & e.ban.columns",
        "if e.ban.columns is None else touched",
    ),
    Mutant(
        "nothing left is a permit",
        "decision.bans",
        "        if not columns:\n",
        "        if columns is None:\n",
    ),
    Mutant(
        "party of the prohibition ignored",
        "decision.bans",
        "states = [n.check(call) for n in grant.party]",
        "states = []",
    ),
    # evaluation
    Mutant(
        "isA is exact",
        "decision.evaluation",
        'if c.operator in ("isA", "isPartOf"):',
        'if c.operator in ("isPartOf",):',
    ),
    Mutant(
        "isAllOf is isAnyOf",
        "decision.evaluation",
        "below[0].intersection(*below[1:])",
        "below[0].union(*below[1:])",
    ),
    Mutant("isNoneOf of the first", "decision.evaluation", "difference(*below)", "difference(below[0])"),
    Mutant(
        "count without this use", "decision.evaluation", "compare(used + 1, limit)", "compare(used, limit)"
    ),
    Mutant(
        "missing attribute is false",
        "decision.evaluation",
        "or not all(isinstance(v, str) for v in value):\n            return None",
        "or not all(isinstance(v, str) for v in value):\n            return False",
    ),
    Mutant(
        "or forgets the unknown",
        "decision.evaluation",
        "    state: State = False\n",
        "    state: State = None\n",
    ),
    Mutant("xone is or", "decision.evaluation", "if satisfied > 1:", "if satisfied > len(states):"),
    Mutant(
        "xone without the unknown",
        "decision.evaluation",
        "return None if None in states else satisfied == 1",
        "return satisfied == 1",
    ),
    Mutant(
        "in any order",
        "decision.evaluation",
        "if part is not True:\n                return part",
        "if part is False:\n                return part",
    ),
    Mutant(
        "member is not enough",
        "decision.evaluation",
        "return v in wanted or not wanted.isdisjoint(",
        "return v in wanted and not wanted.isdisjoint(",
    ),
    Mutant(
        "areas by equality",
        "terms.constraints",
        "area_prefix(inner).startswith(area_prefix(outer))",
        "inner == outer",
    ),
    Mutant(
        "first use in doubt",
        "decision.evaluation",
        "if call.context.used.get(call.grant, 0) == 0 else None",
        "if True else None",
    ),
    # duties
    Mutant(
        "duty before use is optional",
        "decision.dutystate",
        'elif duty.when == "before" or state is not None:',
        "elif state is not None:",
    ),
    Mutant(
        "consequences forgotten",
        "decision.dutystate",
        "for consequence in duty.consequences:",
        "for consequence in ():",
    ),
    Mutant("never overdue", "decision.dutystate", "since > duty.within", "False"),
    # chains
    Mutant("chain forgotten", "decision.judge", "if not grant.ancestors:", "if True:"),
    Mutant("columns of the child alone", "decision.chains", "if c in above.columns)", "if c)"),
    Mutant(
        "rows of the child alone",
        "decision.chains",
        "both(permit.row_filter, above.row_filter)",
        "permit.row_filter",
    ),
    Mutant(
        "transforms of the child alone",
        "decision.chains",
        "names & {*permit.transforms, *above.transforms}",
        "names & {*permit.transforms}",
    ),
    Mutant("duties of the child alone", "decision.chains", "permit.duties + above.duties", "permit.duties"),
    Mutant(
        "uses of the child alone",
        "decision.chains",
        "_least(permit.max_uses, above.max_uses)",
        "permit.max_uses",
    ),
    Mutant("end of the child alone", "decision.chains", "_least(permit.until, above.until)", "permit.until"),
    Mutant("the smaller cohort", "decision.chains", "max(int(one", "min(int(one"),
    Mutant("the larger budget", "decision.chains", "min(Decimal(one", "max(Decimal(one"),
    Mutant("the later of two", "decision.chains", "return min(one, other)", "return max(one, other)"),
    Mutant(
        "the parent alone is asked",
        "decision.judge",
        "for ancestor in ancestors:",
        "for ancestor in ancestors[:1]:",
    ),
    Mutant(
        "consequence owed at once", "decision.dutystate", "if not owed and state is None:", "if state == 1:"
    ),
)


@pytest.fixture(scope="module")
def oracle() -> list[tuple[dict[str, Any], list[Any], list[bool]]]:
    """Cities, calls, and Cedar's answers to them."""
    rng = random.Random(4)
    found = []
    for _ in range(CITIES):
        city = generators.city(rng)
        asked = [generators.call(rng, city) for _ in range(CALLS)]
        names = list(city.grants)
        answers = cedarpy.is_authorized_batch(
            [cedar.request(r, c, names) for r, c in asked], cedar.policies(city.grants), cedar.entities(city)
        )
        found.append((city.grants, asked, [a.allowed for a in answers]))
    return found


def verdict(here: World, case: Case) -> str:
    return told(here.ask(here.engine(case.grants, case.states, case.above), case.request, case.context))


def killed_by(here: World, oracle: list[Any]) -> str | None:
    """The first judge that distinguishes this copy from the correct engine."""
    for case in CASES:
        try:
            if verdict(here, case) != case.expected:
                return case.name
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            return f"{case.name}: {error}"
    for grants, asked, answers in oracle:
        engine = here.engine(grants)
        for (request, context), allowed in zip(asked, answers, strict=True):
            if hasattr(here.ask(engine, request, context), "columns") != allowed:
                return "Cedar"
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_decisions_stated_by_hand(case):
    with world(None) as here:
        assert verdict(here, case) == case.expected


def test_unchanged_engine_passes_the_judges(oracle):
    with world(None) as here:
        assert killed_by(here, oracle) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_engine_mutant_is_detected(mutant, oracle):
    with world(mutant) as here:
        assert killed_by(here, oracle) is not None, f"survived: {mutant.name}"


def test_mutants_are_numerous_and_named_uniquely():
    assert len({m.name for m in MUTANTS}) == len(MUTANTS) >= 20
