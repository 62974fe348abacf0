"""A city in which versions of a dataset follow each other, and grants pin some of them."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from access_policy.terms.templates import agreement
from api.demo.city import Actor, City, hand_in
from api.demo.datasets import dataset_path
from api.demo.participants import AUDIT, Part
from api.sdk.client import Released
from api.sdk.drafts import (
    ActDraft,
    acceptance_of,
    draft_grant,
    draft_revocation,
    draft_version,
    sign_act,
    source_of,
    submit,
)
from api.sdk.errors import ServiceProblem
from ledger.ids import asset_iri, department_iri, parse_asset
from tests.simulators.city import TIDY, open_city, take_version

AIR = "6.1"
POLICY = "dpv:PublicPolicyMaking"
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
END = BEGIN + timedelta(days=30)
SCHEMAS: dict[Path, Any] = {}
"""Of the first version, by city."""
QUERY: dict[str, Any] = {"columns": ["district"], "limit": 5}


def owner_of(city: City) -> Actor:
    return city.actors[6]


def marked(city: City, mark: str, *, without: str = "", more: str = "") -> Path:
    """A file of the air quality data in which every district has this name, with one column more or less."""
    head, *rows = dataset_path("air_quality").read_text().splitlines()
    names = head.split(",")
    place = names.index("district")
    gone = names.index(without) if without else None
    cells = [names, *([*(row.split(","))[:place], mark, *(row.split(","))[place + 1 :]] for row in rows[:40])]
    lines = [
        ",".join(
            [c for n, c in enumerate(line) if n != gone]
            + ([more if number == 0 else f"{mark}-new"] if more else [])
        )
        for number, line in enumerate(cells)
    ]
    path = city.home / f"{mark}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def renew(city: City, mark: str, *, without: str = "", more: str = "") -> int:
    """Record a newer version; return its number."""
    owner, file = owner_of(city), marked(city, mark, without=without, more=more)
    known = owner.civic.dataset(AIR)
    schema = dict(SCHEMAS.setdefault(city.home, known["metadata"]["schema"]))
    schema["fields"] = [one for one in schema["fields"] if one["name"] != without]
    if more:
        schema["fields"] = [*schema["fields"], {"name": more, "type": "string", "class": "plain"}]
    metadata = dict(known["metadata"]) | {"source": source_of(file), "schema": schema}
    take_version(city, owner, draft_version(AIR, known["version"] + 1, metadata), file)
    return int(known["version"]) + 1


def drafted(
    city: City,
    taker: Part,
    version: int | None,
    *,
    parent: str = "0x" + 64 * "0",
    giver: int = 6,
    **more: Any,
) -> ActDraft:
    columns, uses = more.pop("columns", ("district", "pm25")), more.pop("max_uses", None)
    depth = more.pop("depth", 2)
    end = more.pop("expiry", END)
    document = agreement(
        department_iri(giver),
        department_iri(taker.number),
        asset_iri(parse_asset(AIR)),
        columns=columns,
        purposes=(POLICY,),
        not_before=BEGIN,
        expiry=end,
        max_uses=uses,
        version=version,
        **more,
    )
    return draft_grant(
        AIR,
        taker.number,
        document,
        not_before=int(BEGIN.timestamp()),
        expiry=int(end.timestamp()),
        max_uses=uses or (1 << 32) - 1,
        depth=depth,
        parent=parent,
    )


def granted(city: City, taker: Part, version: int | None, **more: Any) -> str:
    """Record and accept a grant; return its id."""
    return record(city, owner_of(city), taker, drafted(city, taker, version, **more), "steward")


def delegate(city: City, parent: ActDraft, taker: Part, version: int | None, **more: Any) -> ActDraft:
    """A delegation of a grant by its grantee, to be signed by its officers."""
    giver = int(parent.message["grantee"])
    drawn = drafted(city, taker, version, parent=parent.id, giver=giver, depth=1, **more)
    return replace(drawn, arguments={"chain": [dict(parent.message)]})


def record(city: City, giver: Actor, taker: Part, drawn: ActDraft, *roles: str) -> str:
    """Sign, record and accept a drafted grant; return its id."""
    grantee = city.of(taker)
    hand_in(city, giver, drawn, [giver.secrets[role] for role in roles])
    signed = sign_act(acceptance_of(drawn.message), city.trust, [grantee.secrets["steward"]])
    grantee.civic.accept(drawn.id, signed.signatures[0])
    return drawn.id


def read(city: City, reader: Part, grant: str | None = None, **more: Any) -> Released:
    query = more.pop("query", QUERY)
    return city.of(reader).civic.read(AIR, POLICY, query, grant=grant, **more)


def seen(released: Released) -> tuple[int, set[str]]:
    return int(released.release["version"]), {str(row["district"]) for row in released.rows()}


def refusal(city: City, reader: Part, grant: str | None = None, **more: Any) -> ServiceProblem:
    with pytest.raises(ServiceProblem) as refused:
        read(city, reader, grant, **more)
    return refused.value


def refused_act(city: City, draft: ActDraft) -> ServiceProblem:
    owner = owner_of(city)
    with pytest.raises(ServiceProblem) as refused:
        submit(owner.civic, sign_act(draft, city.trust, [owner.secrets["steward"]]))
    return refused.value


def revoke(city: City, grant: str) -> None:
    owner = owner_of(city)
    hand_in(city, owner, draft_revocation(grant), [owner.secrets["steward"]])


def current(city: City) -> int:
    return int(owner_of(city).civic.dataset(AIR)["version"])


def entries(city: City, kind: str) -> list[dict[str, Any]]:
    return [dict(one["entry"]) for one in city.of(AUDIT).civic.entries(type=kind)]


def used(city: City, grant: str) -> int:
    return int(owner_of(city).civic.grant(grant)["used"])


def path_of(city: City, mark: str) -> Path:
    return city.home / "data" / AIR / f"{source_of(city.home / f'{mark}.csv')['sha256']}.csv"


def rounds(city: City, more: int = 2) -> None:
    """Wait until the service has checked for unneeded files this many times."""
    for _ in range(more):
        before = retention(city)
        until = time.monotonic() + 20
        while retention(city) == before:
            assert time.monotonic() < until
            time.sleep(0.05)


def retention(city: City) -> Any:
    return httpx.get(f"{city.service.url}/v1/status").json()["log"]["upkeep"]["retention"]["succeeded"]


def gone(city: City, version: int) -> None:
    """Wait until the file of this version was deleted and the deletion is logged."""
    until = time.monotonic() + 20
    while not any(one["facts"]["version"] == version for one in entries(city, "gateway:source:deleted")):
        assert time.monotonic() < until
        time.sleep(0.1)


def opened(founded: Path, home: Path) -> City:
    """A city that keeps a file of an ended version only if a grant pins it."""
    shutil.copytree(founded, home)
    profile = {
        "version": 1,
        "rules": [{"types": "", "openings_days": 1095, "leaves_days": None}],
        "files_days": 0,
    }
    (home / "retention.json").write_text(json.dumps(profile))
    return open_city(home, **TIDY)
