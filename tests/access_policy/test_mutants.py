"""The tests of the engine are tested: seeded mutants of it, each of which a judge must tell from the engine.

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
    Mutant("end is inclusive", "engine", "rule.start <= now < rule.end", "rule.start <= now <= rule.end"),
    Mutant("start is exclusive", "engine", "rule.start <= now < rule.end", "rule.start < now < rule.end"),
    Mutant("one use too many", "reasons", "0 <= used < limit", "0 <= used <= limit"),
    Mutant("negative uses", "reasons", "0 <= used < limit", "used < limit"),
    Mutant("uses of anybody", "engine", "used.get(rule.grant, 0)", "sum(used.values())"),
    Mutant("filter columns unchecked", "engine", "(filtered and not", "(not filtered and not"),
    Mutant("indeterminate permits", "engine", "rule.rest(call) is not True", "rule.rest(call) is False"),
    Mutant("prohibitions forgotten", "engine", "if rule.bare and not banned:", "if rule.bare:"),
    Mutant("suspended counts as live", "engine", 'grant.state == "live"', 'grant.state != "revoked"'),
    Mutant(
        "refined action unchecked",
        "engine",
        "refinement.check(call) is True",
        "refinement.check(call) is not False",
    ),
    Mutant("party unchecked", "engine", "all(n.check(call) is True for n in grant.party)", "True"),
    Mutant("remedies unchecked", "engine", "and not unremedied(grant.id, grant.remedies, call)", ""),
    Mutant("duties unchecked", "engine", "if owed and strict:", "if owed and not strict:"),
    Mutant("purpose unchecked", "engine", "or purpose not in rule.purposes ", ""),
    Mutant("unknown purpose", "engine", "if request.purpose not in _PURPOSES:", "if False:"),
    Mutant("anybody is a caller", "engine", "if request.assignee == ANY_DEPARTMENT:", "if False:"),
    Mutant("companies are departments", "engine", "if assignee.startswith(DEPARTMENT):", "if assignee:"),
    Mutant("naive instants", "engine", "now.utcoffset() is None or ", ""),
    Mutant(
        "asset collections forgotten", "engine", "(asset, *context.collections.get(asset, ()))", "(asset,)"
    ),
    Mutant("transforms of unreleased columns", "engine", "if c in kept}", "if c not in kept}"),
    Mutant("row filter dropped", "engine", "rows = rule.permission.target.rows", "rows = None"),
    Mutant(
        "most privileged first",
        "engine",
        "key=lambda pair: pair[0].privilege)",
        "key=lambda pair: pair[0].privilege, reverse=True)",
    ),
    # compiled
    Mutant("end by the latest", "compiled", "end = min(end, c.value)", "end = max(end, c.value)"),
    Mutant("purposes added up", "compiled", "else allowed & chosen", "else allowed | chosen"),
    Mutant("use limit by the largest", "compiled", "min(limit, c.value)", "max(limit, c.value)"),
    Mutant(
        "strict end taken as inclusive start",
        "compiled",
        'c.operator == "gteq":',
        'c.operator in ("gteq", "lteq"):',
    ),
    Mutant("duties are nothing", "compiled", "bare and not permission.duties and", "bare and"),
    Mutant("refinements are nothing", "compiled", " and not any(covers.values()),", ","),
    Mutant("suspension is nothing", "compiled", 'bare = state == "live" and not party', "bare = not party"),
    Mutant("party is nothing", "compiled", 'state == "live" and not party and', 'state == "live" and'),
    Mutant("remedies are nothing", "compiled", "and not remedies and not", "and not"),
    Mutant("prohibitions only downwards", "compiled", "pointer, upwards=True)", "pointer, upwards=False)"),
    Mutant("permissions upwards", "compiled", "pointer, upwards=False)", "pointer, upwards=True)"),
    Mutant("refinement binds the plain use", "compiled", "if len(refined) < len(nodes):", "if not refined:"),
    Mutant("transforms make more privileged", "compiled", "-len(transforms),", "len(transforms),"),
    # bans
    Mutant(
        "unknown prohibition ignored",
        "bans",
        "if False not in states:",
        "if False not in states and None not in states:",
    ),
    Mutant(
        "permission always wins",
        "bans",
        'if own and grant.agreement.conflict == "perm":',
        'if grant.agreement.conflict == "perm":',
    ),
    Mutant("permission never wins", "bans", 'if own and grant.agreement.conflict == "perm":', "if False:"),
    Mutant("void is ignored", "bans", 'if own and grant.agreement.conflict == "invalid":', "if False:"),
    Mutant(
        "void reaches others",
        "bans",
        'if own and grant.agreement.conflict == "invalid":',
        'if grant.agreement.conflict == "invalid":',
    ),
    Mutant("named column taken away", "bans", "or request.columns or hit & filtered", "or hit & filtered"),
    Mutant(
        "filter on prohibited column", "bans", "or request.columns or hit & filtered", "or request.columns"
    ),
    Mutant(
        "columns of prohibition ignored",
        "bans",
        "if e.ban.columns is None else touched & e.ban.columns",
        "if e.ban.columns is None else touched",
    ),
    Mutant("nothing left is a permit", "bans", "        if not columns:\n", "        if columns is None:\n"),
    Mutant(
        "party of the prohibition ignored",
        "bans",
        "states = [n.check(call) for n in grant.party]",
        "states = []",
    ),
    # evaluation
    Mutant(
        "isA is exact",
        "evaluation",
        'if c.operator in ("isA", "isPartOf"):',
        'if c.operator in ("isPartOf",):',
    ),
    Mutant(
        "isAllOf is isAnyOf", "evaluation", "below[0].intersection(*below[1:])", "below[0].union(*below[1:])"
    ),
    Mutant("isNoneOf of the first", "evaluation", "difference(*below)", "difference(below[0])"),
    Mutant("count without this use", "evaluation", "compare(used + 1, limit)", "compare(used, limit)"),
    Mutant(
        "missing attribute is false",
        "evaluation",
        "or not all(isinstance(v, str) for v in value):\n            return None",
        "or not all(isinstance(v, str) for v in value):\n            return False",
    ),
    Mutant("or forgets the unknown", "evaluation", "    state: State = False\n", "    state: State = None\n"),
    Mutant("xone is or", "evaluation", "if satisfied > 1:", "if satisfied > len(states):"),
    Mutant(
        "xone without the unknown",
        "evaluation",
        "return None if None in states else satisfied == 1",
        "return satisfied == 1",
    ),
    Mutant(
        "in any order",
        "evaluation",
        "if part is not True:\n                return part",
        "if part is False:\n                return part",
    ),
    Mutant(
        "member is not enough",
        "evaluation",
        "return v in wanted or not wanted.isdisjoint(",
        "return v in wanted and not wanted.isdisjoint(",
    ),
    Mutant(
        "areas by equality",
        "evaluation",
        "area_prefix(inner).startswith(area_prefix(outer))",
        "inner == outer",
    ),
    Mutant(
        "first use in doubt",
        "evaluation",
        "if call.context.used.get(call.grant, 0) == 0 else None",
        "if True else None",
    ),
    # duties
    Mutant(
        "duty before use is optional",
        "dutystate",
        'elif duty.when == "before" or state is not None:',
        "elif state is not None:",
    ),
    Mutant(
        "consequences forgotten",
        "dutystate",
        "for consequence in duty.consequences:",
        "for consequence in ():",
    ),
    Mutant("never overdue", "dutystate", "since > duty.within", "False"),
    # chains
    Mutant("chain forgotten", "engine", "if not grant.ancestors:", "if True:"),
    Mutant("columns of the child alone", "chains", "if c in above.columns)", "if c)"),
    Mutant(
        "rows of the child alone",
        "chains",
        "both(permit.row_filter, above.row_filter)",
        "permit.row_filter",
    ),
    Mutant(
        "transforms of the child alone",
        "chains",
        "names & {*permit.transforms, *above.transforms}",
        "names & {*permit.transforms}",
    ),
    Mutant("duties of the child alone", "chains", "permit.duties + above.duties", "permit.duties"),
    Mutant("uses of the child alone", "chains", "_least(permit.max_uses, above.max_uses)", "permit.max_uses"),
    Mutant("end of the child alone", "chains", "_least(permit.until, above.until)", "permit.until"),
    Mutant("the smaller cohort", "chains", "max(int(one", "min(int(one"),
    Mutant("the larger budget", "chains", "min(Decimal(one", "max(Decimal(one"),
    Mutant("the later of two", "chains", "return min(one, other)", "return max(one, other)"),
    Mutant(
        "the parent alone is asked", "engine", "for ancestor in ancestors:", "for ancestor in ancestors[:1]:"
    ),
    Mutant("consequence owed at once", "dutystate", "if not owed and state is None:", "if state == 1:"),
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
    """The first judge that tells this world from what is right."""
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


def test_the_engine_as_it_is_survives(oracle):
    with world(None) as here:
        assert killed_by(here, oracle) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_changed_engine_is_told_from_the_engine(mutant, oracle):
    with world(mutant) as here:
        assert killed_by(here, oracle) is not None, f"survived: {mutant.name}"


def test_there_are_enough_mutants_and_each_has_its_name():
    assert len({m.name for m in MUTANTS}) == len(MUTANTS) >= 20
