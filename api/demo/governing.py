"""The first chapters: departments admitted, data registered, grants requested and signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from access_policy.terms.agreement import Agreement, parse_terms
from access_policy.terms.slots import names_deriving, slot_bounds
from access_policy.terms.templates import agreement, duty, unconditional
from api.demo.city import City, hand_in
from api.demo.datasets import DATASETS, DemoDataset, dataset_path
from api.demo.narrator import Narrator
from api.demo.participants import (
    BUREAU,
    EDUCATION,
    ELDER_CARE,
    HEALTH,
    PASSPHRASE,
    PLANNING,
    Actor,
    Part,
)
from api.protocol.keystore import open_secp256k1
from api.sdk.codes import GRADES, SHARING
from api.sdk.drafts import (
    UNLIMITED,
    NewSeat,
    NewServiceKey,
    acceptance_of,
    department_profile,
    draft_admission,
    draft_grant,
    draft_log_opening,
    draft_registration,
    metadata_document,
    sign_act,
    source_of,
)
from api.sdk.office_drafts import FIRST_COUNCIL
from languages.texts import bilingual, in_both, listed
from ledger.acts.wording import value_text
from ledger.ids import asset_iri, department_iri, department_of, parse_asset

PENSION_CHECK = "dpv:FraudPreventionAndDetection"
AIR_POLICY = "dpv:PublicPolicyMaking"
RESEARCH = "dpv:ScientificResearch"
OPEN = "dpv:PublicBenefit"


def admit(narrator: Narrator, city: City) -> None:
    """Sign with the council and every seat; the gateway's attest key gets a seat in the data bureau."""
    attest = open_secp256k1(city.home / "keys" / "attest.json", PASSPHRASE)
    with ThreadPoolExecutor(8) as pool:
        for actor in pool.map(lambda a: _admit(city, a, attest), city.actors.values()):
            narrator.tell(
                "{number} {name}: officers {officers}",
                number=actor.part.number,
                name=actor.part.name,
                officers=listed(list(actor.part.officers)),
            )
    opening = draft_log_opening(str(city.trust.document["origin"]), BUREAU.number, epoch=FIRST_COUNCIL)
    hand_in(city, city.of(BUREAU), opening, city.council[:2])
    narrator.tell(
        "Each admission carries two of three council signatures and each officer's proof of possession."
    )


def _admit(city: City, actor: Actor, attest: bytes) -> Actor:
    from ledger.chain.signers import address_of

    part = actor.part
    seats = [NewSeat(actor.keys[name].public, roles) for name, roles in part.officers.items()]
    secrets = [actor.secrets[name] for name in part.officers]
    if part is BUREAU:
        seats.append(NewSeat(address_of(attest), ("attest", "gateway")))
        secrets.append(attest)
    draft = draft_admission(
        part.number,
        actor.keys["recovery"].public,
        seats,
        [NewServiceKey(actor.service.public, part.service_roles)],
        profile=department_profile(part.name_zh, part.name_en),
        epoch=FIRST_COUNCIL,
    )
    by_council = sign_act(draft, city.trust, city.council[:2]).signatures
    by_seats = sign_act(draft, city.trust, secrets).signatures
    actor.civic.act(
        draft.type,
        draft.to_json()["message"],
        {"council": by_council, "possession": by_seats},
        documents=draft.documents,
    )
    return actor


def register(narrator: Narrator, city: City) -> None:
    """Sign catalogue entries as the stewards, and hand in the files, which must hash to the signed digest."""
    sequence: Counter[int] = Counter()
    tasks: list[tuple[DemoDataset, Actor, str]] = []
    by_slug = {actor.part.slug: actor for actor in city.actors.values()}
    for item in DATASETS:
        owner = by_slug[item.domain]
        sequence[owner.part.number] += 1
        tasks.append((item, owner, f"{owner.part.number}.{sequence[owner.part.number]}"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda task: _register(city, *task), tasks))
    for item, owner, asset in tasks:
        city.assets[item.key] = asset
        narrator.tell(
            "{asset} {title} ({grade}, {sharing}) by {department}",
            asset=asset,
            title=item.title,
            grade=bilingual(
                item.data_class, value_text("RegisterAsset", "class", GRADES[item.data_class], "zh")
            ),
            sharing=bilingual(
                item.sharing, value_text("RegisterAsset", "sharing", SHARING[item.sharing], "zh")
            ),
            department=owner.part.name,
        )


def _register(city: City, item: DemoDataset, owner: Actor, asset: str) -> None:
    path = dataset_path(item.key)
    about = in_both("Demo data: {title}", title=item.title)
    metadata = metadata_document(
        title={"zh": item.title_zh, "en": item.title_en},
        description={"zh": about.zh, "en": about},
        schema=item.schema,
        source=source_of(path),
        sharing=item.sharing,
        grade=item.data_class,
        department=owner.part.number,
    )
    hand_in(city, owner, draft_registration(asset, metadata), [owner.secrets["steward"]])
    owner.civic.upload(asset, path)


@dataclass(frozen=True, slots=True)
class Share:
    """One grant of the demo."""

    key: str
    asset: str
    grantee: Part | None
    columns: tuple[str, ...]
    purposes: tuple[str, ...]
    lasts: timedelta = timedelta(days=90)
    uses: int | None = None
    rows: Mapping[str, Any] | None = None
    transforms: Mapping[str, Mapping[str, Any]] | None = None
    asked: bool = False


AIR = ("station_id", "district", "measured_at", "pm25", "no2", "o3")
SHARES = (
    Share(
        "pension-check",
        "population_register",
        ELDER_CARE,
        ("citizen_id", "died_on"),
        (PENSION_CHECK,),
        uses=3,
        rows={"not": {"column": "died_on", "op": "isNull"}},
        asked=True,
    ),
    Share("air-planning", "air_quality", PLANNING, AIR, (AIR_POLICY,), asked=True),
    Share("air-health", "air_quality", HEALTH, AIR, (RESEARCH, AIR_POLICY), asked=True),
    Share("air-education", "air_quality", EDUCATION, AIR, (AIR_POLICY,), uses=1, asked=True),
    Share(
        "survey-health",
        "census_extract",
        HEALTH,
        ("person_no", "age", "education", "hours_per_week", "sex"),
        (RESEARCH,),
        rows={"column": "age", "op": "gteq", "value": 60},
        transforms={"person_no": {"type": "pseudonym"}},
    ),
    Share("visits-planning", "respiratory_visits", PLANNING, ("day", "district", "visits"), (AIR_POLICY,)),
    Share(
        "visits-education",
        "respiratory_visits",
        EDUCATION,
        ("day", "district", "visits"),
        (AIR_POLICY,),
        lasts=timedelta(seconds=10),
    ),
    Share(
        "register-masked",
        "population_register",
        PLANNING,
        ("citizen_id", "suburb", "postcode"),
        (AIR_POLICY,),
        rows={"column": "state", "op": "eq", "value": "nsw"},
        transforms={"citizen_id": {"type": "mask", "keep_last": 3}},
    ),
    Share(
        "weather-open",
        "weather",
        None,
        ("observed_at", "temperature", "humidity", "wind_speed", "precipitation"),
        (),
    ),
)


def share(narrator: Narrator, city: City) -> None:
    """Request, sign by the quorum of the data's grade, and accept as the grantees."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: grant_share(city, item), SHARES))
    for item in SHARES:
        narrator.tell(
            "{dataset}: {columns} -> {department}",
            dataset=item.key,
            columns=listed(item.columns),
            department=item.grantee.name if item.grantee else in_both("every department"),
        )
    narrator.tell(
        "Important data took two signatures, the steward's and the chief data officer's; the contract counted them."
    )


def grant_share(city: City, item: Share) -> None:
    """One grant, from the request to the acceptance."""
    asset = city.assets[item.asset]
    owner = city.actors[department_of(parse_asset(asset))]
    now = datetime.now(UTC).replace(microsecond=0)
    request = _ask(city, item, asset, now) if item.asked else None
    assigner, target = department_iri(owner.part.number), asset_iri(parse_asset(asset))
    if item.grantee is None:
        document = unconditional(assigner, target, columns=item.columns, expiry=now + item.lasts)
    else:
        document = agreement(
            assigner,
            department_iri(item.grantee.number),
            target,
            columns=item.columns,
            purposes=item.purposes,
            rows=item.rows,
            transforms=item.transforms,
            not_before=now - timedelta(minutes=1),
            expiry=now + item.lasts,
            max_uses=item.uses,
            duties=(duty("delete", within=timedelta(days=30)),),
            law=("PIPL art. 6", "PIPL art. 19"),
        )
    parsed = parse_terms(document)
    assert isinstance(parsed, Agreement)
    bounds = slot_bounds(parsed)
    assert bounds.expiry is not None
    draft = draft_grant(
        asset,
        item.grantee.number if item.grantee else 0,
        document,
        not_before=int(bounds.not_before.timestamp()) if bounds.not_before else 0,
        expiry=int(bounds.expiry.timestamp()),
        max_uses=UNLIMITED if bounds.max_uses is None else bounds.max_uses,
        may_derive=names_deriving(parsed),
        request=request,
    )
    important = next(d for d in DATASETS if d.key == item.asset).data_class != "general"
    signers = ("steward", "cdo") if important else ("steward",)
    hand_in(city, owner, draft, [owner.secrets[name] for name in signers])
    city.grants[item.key] = draft.id
    if item.grantee is not None:
        grantee = city.of(item.grantee)
        accepted = sign_act(acceptance_of(draft.message), city.trust, [grantee.secrets["steward"]])
        grantee.civic.accept(draft.id, accepted.signatures[0])


def _ask(city: City, item: Share, asset: str, now: datetime) -> str:
    assert item.grantee is not None
    answer = city.of(item.grantee).civic.request_access(
        {
            "asset": asset,
            "columns": list(item.columns),
            "purpose": item.purposes[0],
            "legal_basis": "PIPL art. 13(3)",
            "starts": now.isoformat(),
            "ends": (now + item.lasts).isoformat(),
            "note": item.key,
        }
    )
    return str(answer["id"])
