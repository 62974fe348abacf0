"""The engine compared with Cedar: two implementations of the same documents give the same answers, over
100,000 calls."""

from __future__ import annotations

import random

import cedarpy
import pytest

from access_policy.decision.answers import Permit
from access_policy.decision.engine import Engine
from access_policy.terms.agreement import parse_terms

from . import cedar, generators

CITIES_PER_SEED, CALLS_PER_CITY = 25, 500


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.drill) for seed in range(3, 8))]
)
def test_cedar_and_the_engine_agree_on_every_call(seed):
    rng = random.Random(seed)
    calls = permits = 0
    for _ in range(CITIES_PER_SEED):
        city = generators.city(rng)
        engine = Engine()
        for grant, document in city.grants.items():
            engine.add(grant, parse_terms(document))
        asked = [generators.call(rng, city) for _ in range(CALLS_PER_CITY)]
        names = list(city.grants)
        answers = cedarpy.is_authorized_batch(
            [cedar.request(r, c, names) for r, c in asked], cedar.policies(city.grants), cedar.entities(city)
        )
        for (request, context), answer in zip(asked, answers, strict=True):
            assert not answer.diagnostics.errors
            decision = engine.decide(request, context)
            assert isinstance(decision, Permit) == answer.allowed, (request, context, decision, city.grants)
            calls += 1
            permits += answer.allowed
    assert calls == CITIES_PER_SEED * CALLS_PER_CITY
    assert permits / calls >= 0.3
