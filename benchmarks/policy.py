"""The rate of decisions with all reasons, in comparison with Cedar and Casbin on the same workload.

The workload: 20 departments and N grants of N/20 assets (one grant for each department and asset on average). Each grant is
for one purpose with its narrower purposes, a validity and a number of uses. About half of the calls are permitted. Every
decision is explained: a denial has each failing condition with the values seen and wanted. All decisions are compared with
those of Cedar and Casbin before the measurement. Cedar and Casbin get only the policies of the caller and asset of each call,
parsed in advance (slicing: without it both become slower with N).

Rates are those of the fastest of ``ROUNDS`` rounds on one thread; ratios are medians over interleaved rounds.

    python -m benchmarks.policy --json
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import casbin
import cedarpy

from access_policy.decision.answers import Context, Permit, Request
from access_policy.decision.engine import Engine
from access_policy.terms.agreement import Agreement, Party, Permission, parse_terms
from access_policy.terms.constraints import Constraint
from access_policy.terms.targets import Target
from access_policy.terms.templates import agreement
from access_policy.terms.vocabulary import call_purposes, purposes

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SIZES = (100, 10_000, 100_000)
CALLS, COMPARED, ROUNDS, FEW = 20_000, 3_000, 7, 1_000


@dataclass(frozen=True)
class Workload:
    """Grants, calls, and the context of the calls."""

    grants: list[tuple[str, Agreement]]
    requests: list[Request]
    context: Context


def workload(size: int, seed: int = 7) -> Workload:
    """The workload of one size, the same in every run."""
    rng = random.Random(seed)
    names = sorted(call_purposes())
    assets = [f"urn:civic:asset:{i % 20 + 1}.{i + 1}" for i in range(size // 20)]
    shape = parse_terms(
        agreement(
            "urn:civic:dept:21", "urn:civic:dept:1", assets[0], columns=("id", "state", "born"), purposes=()
        )
    )
    assert isinstance(shape, Agreement)
    grants = []
    for i in range(size):
        start = NOW + timedelta(hours=rng.randint(-2_000, 200))
        limit = (
            Constraint("purpose", "isA", rng.choice(names)),
            Constraint("dateTime", "gteq", start),
            Constraint("dateTime", "lt", start + timedelta(hours=rng.randint(1_000, 4_000))),
            Constraint("count", "lteq", rng.choice((10, 100, 1_000))),
        )
        rule = Permission(
            Target(rng.choice(assets), ("id", "state", "born")), shape.permissions[0].actions, limit
        )
        party = Party(f"urn:civic:dept:{rng.randint(1, 20)}")
        grants.append((f"0x{i:064x}", replace(shape, assignee=party, permissions=(rule,))))
    requests = []
    for _ in range(CALLS):
        _, terms = rng.choice(grants)
        (rule,) = terms.permissions
        wanted = rule.constraints[0]
        assert isinstance(wanted, Constraint)
        assert terms.assignee is not None
        below = sorted(purposes().descendants[str(wanted.value)])
        purpose = rng.choice(below) if rng.random() < 0.75 else rng.choice(names)
        columns = rng.choice((("id",), ("id", "state"), (), ("id", "state", "born"), ("id", "salary")))
        requests.append(Request(terms.assignee.id, rule.target.asset, "read", purpose, columns))
    used = {grant: rng.choice((0, 3, 10)) for grant, _ in grants}
    return Workload(grants, requests, Context(NOW, used))


def loaded(work: Workload) -> Engine:
    """An engine with the grants."""
    engine = Engine()
    add = engine.add
    for grant, terms in work.grants:
        add(grant, terms)
    return engine


# --- the others ------------------------------------------------------------------------------------------------------


def bounds(terms: Agreement) -> tuple[str, datetime, datetime, int]:
    """Purpose, start, end and uses of a grant of this workload."""
    values = [c.value for c in terms.permissions[0].constraints if isinstance(c, Constraint)]
    purpose, start, end, uses = values
    assert isinstance(start, datetime)
    assert isinstance(end, datetime)
    assert isinstance(uses, int)
    return str(purpose), start, end, uses


def slices(work: Workload) -> dict[tuple[str, str], list[tuple[str, Agreement]]]:
    """The grants by assignee and asset."""
    found: dict[tuple[str, str], list[tuple[str, Agreement]]] = {}
    for grant, terms in work.grants:
        assert terms.assignee is not None
        found.setdefault((terms.assignee.id, terms.permissions[0].target.asset), []).append((grant, terms))
    return found


def cedar(work: Workload, requests: Sequence[Request]) -> Callable[[int], bool]:
    """Cedar with the policies of each slice parsed beforehand, and the hierarchy of purposes as its entities."""
    policies: dict[tuple[str, str], Any] = {}
    for key, grants in slices(work).items():
        texts = []
        for grant, terms in grants:
            purpose, start, end, uses = bounds(terms)
            columns = json.dumps(list(terms.permissions[0].target.columns or ()))
            texts.append(
                f'permit(principal == Party::"{key[0]}", action == Action::"read", resource == Asset::"{key[1]}") '
                f'when {{ context.purpose in Purpose::"{purpose}" && context.now >= {int(start.timestamp())} '
                f"&& context.now < {int(end.timestamp())} && context.used.g{grant} < {uses} "
                f"&& {columns}.containsAll(context.columns) }};"
            )
        policies[key] = cedarpy.PolicySet.from_str("\n".join(texts))
    hierarchy = [
        {
            "uid": {"type": "Purpose", "id": c.id},
            "attrs": {},
            "parents": [{"type": "Purpose", "id": b} for b in c.broader],
        }
        for c in purposes().concepts.values()
    ]
    entities = cedarpy.Entities.from_json_str(json.dumps(hierarchy))
    grouped = slices(work)
    none = cedarpy.PolicySet.from_str("")
    asked = []
    for request in requests:
        key = (request.assignee, request.asset)
        used = {f"g{grant}": work.context.used[grant] for grant, _ in grouped.get(key, ())}
        context = {
            "purpose": {"__entity": {"type": "Purpose", "id": request.purpose}},
            "now": int(NOW.timestamp()),
            "used": used,
            "columns": list(request.columns),
        }
        asked.append(
            (
                {
                    "principal": {"type": "Party", "id": request.assignee},
                    "action": {"type": "Action", "id": request.action},
                    "resource": {"type": "Asset", "id": request.asset},
                    "context": context,
                },
                policies.get(key, none),
            )
        )

    def ask(i: int) -> bool:
        request, slice_ = asked[i]
        return bool(cedarpy.is_authorized(request, slice_, entities).allowed)

    return ask


MODEL = """
[request_definition]
r = sub, obj, act, purpose, now, used, columns
[policy_definition]
p = sub, obj, act, purpose, start, end, uses, grant
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act && r.now >= int(p.start) && r.now < int(p.end) && \
 isA(r.purpose, p.purpose) && left(r.used, p.grant, p.uses) && granted(r.columns)
"""


def casbin_of(work: Workload, requests: Sequence[Request]) -> Callable[[int], bool]:
    """Casbin with one enforcer for each slice of the requests."""
    grouped = slices(work)
    scheme = purposes()
    enforcers: dict[tuple[str, str], Any] = {}
    for request in requests:
        key = (request.assignee, request.asset)
        if key in enforcers:
            continue
        model = casbin.Model()
        model.load_model_from_text(MODEL)
        enforcer = casbin.Enforcer(model)
        enforcer.add_function("isA", scheme.is_a)
        enforcer.add_function("left", lambda used, grant, uses: used[grant] < int(uses))
        enforcer.add_function("granted", lambda columns: {"id", "state", "born"}.issuperset(columns))
        enforcer.add_function("int", int)
        for grant, terms in grouped.get(key, ()):
            purpose, start, end, uses = bounds(terms)
            times = (str(int(start.timestamp())), str(int(end.timestamp())))
            enforcer.add_policy(key[0], key[1], "read", purpose, *times, str(uses), grant)
        enforcers[key] = enforcer
    now, used = int(NOW.timestamp()), dict(work.context.used)

    def ask(i: int) -> bool:
        r = requests[i]
        enforcer = enforcers[(r.assignee, r.asset)]
        return bool(enforcer.enforce(r.assignee, r.asset, r.action, r.purpose, now, used, r.columns))

    return ask


# --- measuring -------------------------------------------------------------------------------------------------------


def seconds(run: Callable[[], object]) -> float:
    """The seconds of one run."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def load_into(built: list[Engine], work: Workload) -> None:
    """Build an engine and keep a reference to it, so that its deallocation is not measured."""
    built.append(loaded(work))


def deciding(engine: Engine, work: Workload, count: int = CALLS) -> Callable[[], None]:
    """A loop over the first ``count`` calls."""
    requests, context, decide = work.requests[:count], work.context, engine.decide

    def run() -> None:
        for request in requests:
            decide(request, context)

    return run


def compared(engine: Engine, work: Workload, others: Sequence[Callable[[int], bool]]) -> float:
    """Check that all engines give the same decisions; returns the share of permits."""
    permits = 0
    for i, request in enumerate(work.requests[:COMPARED]):
        ours = isinstance(engine.decide(request, work.context), Permit)
        permits += ours
        for other in others:
            if other(i) != ours:
                raise SystemExit(f"the engines disagree on {request}")
    return permits / COMPARED


def measure() -> dict[str, Any]:
    """Run the whole benchmark; returns the object to print."""
    works = {size: workload(size) for size in SIZES}
    gc.collect()
    gc.freeze()  # exclude earlier objects from garbage collection
    builds = []
    engines: dict[int, Engine] = {}
    for size in SIZES:
        engines[size] = loaded(works[size])
    for _ in range(3):
        built: list[Engine] = []
        builds.append(seconds(partial(load_into, built, works[100_000])))
        built.clear()
    cold = seconds(deciding(engines[100_000], works[100_000], 2_000)) / 2_000
    middle = works[10_000]
    ask_cedar = cedar(middle, middle.requests[:COMPARED])
    ask_casbin = casbin_of(middle, middle.requests[:COMPARED])
    permits = compared(engines[10_000], middle, (ask_cedar, ask_casbin))
    gc.collect()
    gc.freeze()
    rates: dict[int, list[float]] = {size: [] for size in SIZES}
    slower, cedar_ratio, casbin_ratio, cedar_rates, casbin_rates = [], [], [], [], []
    for size in SIZES:
        deciding(engines[size], works[size])()
    for _ in range(ROUNDS):
        taken = {size: seconds(deciding(engines[size], works[size])) / CALLS for size in SIZES}
        for size in SIZES:
            rates[size].append(1 / taken[size])
        slower.append(taken[100_000] / taken[100])
        ours = seconds(deciding(engines[10_000], middle, FEW)) / FEW
        theirs = seconds(lambda: [ask_cedar(i) for i in range(FEW)]) / FEW
        last = seconds(lambda: [ask_casbin(i) for i in range(FEW)]) / FEW
        cedar_ratio.append(theirs / ours)
        casbin_ratio.append(last / ours)
        cedar_rates.append(1 / theirs)
        casbin_rates.append(1 / last)
    single = []
    for request in middle.requests:
        started = time.perf_counter_ns()
        engines[10_000].decide(request, middle.context)
        single.append(time.perf_counter_ns() - started)
    single.sort()
    figures = {
        "explained_per_s_100": round(max(rates[100])),
        "explained_per_s_10k": round(max(rates[10_000])),
        "explained_per_s_100k": round(max(rates[100_000])),
        "p50_us_10k": round(single[len(single) // 2] / 1_000, 2),
        "p99_us_10k": round(single[len(single) * 99 // 100] / 1_000, 2),
        "build_s_100k": round(min(builds), 3),
        "first_decision_us_100k": round(cold * 1e6, 1),
        "cedar_sliced_per_s": round(max(cedar_rates)),
        "casbin_sliced_per_s": round(max(casbin_rates)),
        "answers_compared": COMPARED,
        "permits_share": round(permits, 3),
    }
    ratios = {
        "vs_cedar_sliced": round(statistics.median(cedar_ratio), 1),
        "vs_casbin_sliced": round(statistics.median(casbin_ratio), 1),
        "slowdown_100_to_100k": round(statistics.median(slower), 2),
    }
    return {"benchmark": "policy", "figures": figures, "ratios": ratios}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args()
    result = measure()
    if arguments.json:
        print(json.dumps(result))
        return
    for group in ("figures", "ratios"):
        for name, value in result[group].items():
            print(f"{name:28} {value:>12}")


if __name__ == "__main__":
    main()
