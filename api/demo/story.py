"""The demo: a city's departments share data under rules that nobody has to take on trust.

The story follows the source papers: six domains (planning, health, education, elder care, environment, public
security), a pension check against the civil register, air-quality data shared by three departments, an open
weather table. Every step goes over HTTP to a real service; nothing is shown that was not done.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from access_policy.slots import slot_bounds
from access_policy.templates import agreement, duty, unconditional
from access_policy.terms import Agreement, parse_terms
from api.cli.language import language, say
from api.demo.cast import (
    AUDIT,
    BUREAU,
    CITY,
    EDUCATION,
    ELDER_CARE,
    HEALTH,
    PASSPHRASE,
    PLANNING,
    PUBLIC_SECURITY,
    Actor,
    Part,
    cast_council,
    cast_department,
)
from api.demo.datasets import DATASETS, DemoDataset, dataset_path
from api.demo.narrator import Narrator
from api.demo.process import ServiceProcess
from api.installation import initialise
from api.sdk.drafts import (
    UNLIMITED,
    ActDraft,
    NewSeat,
    NewServiceKey,
    acceptance_of,
    department_profile,
    draft_admission,
    draft_grant,
    draft_registration,
    draft_revocation,
    metadata_document,
    sign_act,
    source_of,
    submit,
)
from api.sdk.errors import ClientError, ServiceProblem
from api.sdk.keystore import open_secp256k1
from api.sdk.transport import Answer
from api.sdk.trust import Trust
from api.settings import HomeError, read_home
from ledger.audit.note import b64
from ledger.audit.verify import verify_bundle
from ledger.ids import asset_iri, department_iri, parse_asset

PENSION_CHECK = "dpv:FraudPreventionAndDetection"
AIR_POLICY = "dpv:PublicPolicyMaking"
RESEARCH = "dpv:ScientificResearch"
OPEN = "dpv:PublicBenefit"

CHAPTERS = 9
NEXT_URL = "http://127.0.0.1:8600"
"""Where `civic serve --home` listens when nothing else is said: the profiles point there after the demo."""


@dataclass(slots=True)
class City:
    """The running city of a demo: its service, its departments, and what has happened so far."""

    home: Path
    trust: Trust
    service: ServiceProcess
    actors: Mapping[int, Actor]
    council: list[bytes]
    assets: dict[str, str] = field(default_factory=dict)
    grants: dict[str, str] = field(default_factory=dict)
    permitted: int = 0
    denials: Counter[str] = field(default_factory=Counter)

    def of(self, part: Part) -> Actor:
        return self.actors[part.number]


def run_demo(home: Path, *, serve: bool | None, replace: bool, rpc_url: str, as_json: bool) -> None:
    """Tell the whole story; prints the summary as one JSON object last when ``as_json``."""
    narrator = Narrator.for_output(CHAPTERS, as_json=as_json)
    _make_room(home, replace)
    city: City | None = None
    try:
        with narrator.chapter(
            "An installation of its own: chain, contracts, keys", "建立独立安装：链、合约、密钥"
        ):
            city = found_city(home, rpc_url)
            _tell_installation(narrator, city)
        summary = tell_story(narrator, city)
    except BaseException:
        if city is not None:
            city.service.stop()
        raise
    goes_on = sys.stdout.isatty() if serve is None else serve
    if not goes_on:
        city.service.stop()
        for actor in city.actors.values():
            actor.connect(NEXT_URL, city.trust)
    if as_json:
        print(json.dumps(summary, ensure_ascii=False), flush=True)
    if goes_on:
        narrator.tell(
            f"The service goes on at {city.service.url}; stop it with Ctrl-C.",
            f"服务继续运行于 {city.service.url}；按 Ctrl-C 停止。",
        )
        try:
            city.service.wait()
        except KeyboardInterrupt:
            city.service.stop()
    if not all(check["passed"] for check in summary["checks"]):
        raise SystemExit(1)


def tell_story(narrator: Narrator, city: City) -> dict[str, Any]:
    """Every chapter after the founding; the summary."""
    with narrator.chapter("Eight departments are admitted by the council", "理事会接纳八个部门"):
        admit(narrator, city)
    with narrator.chapter(
        "Data are registered: signed entries, then the files they name", "登记数据：签名条目与对应文件"
    ):
        register(narrator, city)
    with narrator.chapter("Departments ask; stewards grant by signature", "部门申请；管理员签名授权"):
        share(narrator, city)
    with narrator.chapter("Departments read exactly what was granted", "部门按授权读取数据"):
        read(narrator, city)
    with narrator.chapter(
        "What is not granted is refused, and the refusal says why", "未授权的调用被拒绝，并说明原因"
    ):
        refuse(narrator, city)
    with narrator.chapter("The log is anchored on chain", "日志锚定上链"):
        anchored = anchor(narrator, city)
    with narrator.chapter("An auditor searches and exports the log", "审计员检索并导出日志"):
        bundle, status = audit(narrator, city)
    with narrator.chapter("The bundle is checked offline, without the service", "离线核验导出包，无需服务"):
        trust = verify(narrator, city, bundle)
    return {
        "home": str(city.home),
        "departments": len(city.actors),
        "assets": len(city.assets),
        "grants": len(city.grants),
        "reads": {"permitted": city.permitted, "denied": sum(city.denials.values())},
        "denials": dict(sorted(city.denials.items())),
        "audit": {
            "entries": status["log"]["size"],
            "checkpoint": status["log"]["checkpoint"],
            "anchored_block": anchored,
        },
        "bundle": str(bundle),
        "trust": str(trust),
        "checks": narrator.checks,
        "seconds": round(time.monotonic() - narrator.started, 1),
    }


# -- founding -----------------------------------------------------------------------------------------


def _make_room(home: Path, replace: bool) -> None:
    if not home.exists() or not any(home.iterdir()):
        return
    if not replace:
        raise HomeError(
            f"there is something at {home} already", hint="name another --home, or give --replace"
        )
    if read_home(home).mode != "demo":
        raise HomeError(f"{home} is not a demo's home: it is left alone", hint="name another --home")
    shutil.rmtree(home)


def found_city(home: Path, rpc_url: str = "", relayer_key: Path | None = None) -> City:
    """Make the installation, draw everybody's keys, start the service."""
    people = home.with_name(f".{home.name}.people")
    shutil.rmtree(people, ignore_errors=True)
    addresses, council = cast_council(people)
    actors = {part.number: cast_department(part, people) for part in CITY}
    if rpc_url and relayer_key is None:
        relayer_key = _development_account(people)
    initialise(
        home,
        PASSPHRASE,
        council=addresses,
        threshold=2,
        admission_delay=0,
        rpc_url=rpc_url,
        relayer_key=relayer_key,
        mode="demo",
    )
    (home / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
    people.rename(home / "departments")
    for actor in actors.values():
        actor.directory = home / "departments" / actor.part.slug
    trust = Trust.read(home / "trust.json")
    city = City(home, trust, ServiceProcess(home), actors, council)
    for actor in actors.values():
        actor.connect(city.service.url, trust)
    return city


def _development_account(people: Path) -> Path:
    """The first account of a development node (anvil, hardhat): its key is public, and only such nodes fund it."""
    from api.sdk.keystore import import_secp256k1

    key = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
    return import_secp256k1(people / "development-relayer.json", "relayer", key, PASSPHRASE, demo=True).path


def _tell_installation(narrator: Narrator, city: City) -> None:
    status = city.of(BUREAU).civic.status()
    chain = status["chain"]
    narrator.tell(
        f"chain {chain['id']}, contracts at {chain['contracts']['SharingLedger'][:12]}…, service at {city.service.url}",
        f"链 {chain['id']}，合约 {chain['contracts']['SharingLedger'][:12]}…，服务 {city.service.url}",
    )
    if chain["embedded"]:
        narrator.tell(
            "The embedded chain is run by the operator: by itself it proves nothing against the operator. "
            "What catches a rollback are the checkpoints that clients and witnesses keep.",
            "内嵌链由运营方运行，本身不能约束运营方；能发现回滚的是客户端与见证方保存的检查点。",
        )


# -- chapters -----------------------------------------------------------------------------------------


def admit(narrator: Narrator, city: City) -> None:
    """Council signatures and every seat's own; the gateway's attest key joins the data bureau."""
    attest = open_secp256k1(city.home / "keys" / "attest.json", PASSPHRASE)
    with ThreadPoolExecutor(8) as pool:
        for actor in pool.map(lambda a: _admit(city, a, attest), city.actors.values()):
            narrator.tell(
                f"{actor.part.number} {actor.part.name_en}: officers {', '.join(actor.part.officers)}",
                f"{actor.part.number} {actor.part.name_zh}：{'、'.join(actor.part.officers)}",
            )
    origin = str(city.trust.document["origin"])
    open_log(city, origin)
    narrator.tell(
        "Each admission carries two of three council signatures and each officer's proof of possession.",
        "每次接纳均有理事会三分之二签名及每位人员的密钥持有证明。",
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


def open_log(city: City, origin: str) -> None:
    """The council opens the log on chain: from here on heads are anchored."""
    import hashlib

    message = {
        "origin": "0x" + hashlib.sha256(origin.encode()).hexdigest(),
        "operator": BUREAU.number,
        "quorum": 0,
        "deadline": int(time.time()) + 3600,
    }
    _hand_in(city, city.of(BUREAU), ActDraft("OpenLog", message), city.council[:2])


def register(narrator: Narrator, city: City) -> None:
    """Stewards sign catalogue entries; the files go up only when they hash to what was signed."""
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
            f"{asset} {item.title_en} ({item.data_class}, {item.sharing}) by {owner.part.name_en}",
            f"{asset} {item.title_zh}（{item.data_class}，{item.sharing}），{owner.part.name_zh}",
        )


def _register(city: City, item: DemoDataset, owner: Actor, asset: str) -> None:
    path = dataset_path(item.key)
    metadata = metadata_document(
        title={"zh": item.title_zh, "en": item.title_en},
        description={"zh": f"演示数据：{item.title_zh}", "en": f"Demo data: {item.title_en}"},
        schema=item.schema,
        source=source_of(path),
        sharing=item.sharing,
        grade=item.data_class,
        department=owner.part.number,
    )
    _hand_in(city, owner, draft_registration(asset, metadata), [owner.secrets["steward"]])
    owner.civic.upload(asset, path)


@dataclass(frozen=True, slots=True)
class Share:
    """One grant of the story."""

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
        "census-health",
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
    """Requests, then grants signed by the quorum of the data's grade, then the grantees' acceptance."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: _share(city, item), SHARES))
    for item in SHARES:
        to = (
            (item.grantee.name_en, item.grantee.name_zh) if item.grantee else ("every department", "所有部门")
        )
        narrator.tell(
            f"{item.key}: {', '.join(item.columns)} -> {to[0]}",
            f"{item.key}：{'、'.join(item.columns)} → {to[1]}",
        )
    narrator.tell(
        "Important data took two signatures, the steward's and the chief data officer's; the contract counted them.",
        "重要数据需数据管理员与首席数据官双签名，由合约核验。",
    )


def _share(city: City, item: Share) -> None:
    asset = city.assets[item.asset]
    owner = city.actors[parse_asset(asset) >> 40]
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
        request=request,
    )
    important = next(d for d in DATASETS if d.key == item.asset).data_class != "general"
    signers = ("steward", "cdo") if important else ("steward",)
    _hand_in(city, owner, draft, [owner.secrets[name] for name in signers])
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


def read(narrator: Narrator, city: City) -> None:
    """Permitted reads: each exactly what was granted, each with its receipt."""
    dead = _permitted(
        city, ELDER_CARE, "population_register", PENSION_CHECK, {"columns": ["citizen_id", "died_on"]}
    )
    roll = _own_roll()
    found = sorted({row["citizen_id"] for row in dead} & roll)
    narrator.permitted(
        f"Elder Care checks {len(roll)} pensioners against {len(dead)} deaths in the register: {len(found)} pensions are paid to the dead.",
        f"民政局将 {len(roll)} 名养老金领取人与登记的 {len(dead)} 例死亡比对：{len(found)} 份养老金发给了已故者。",
    )
    narrator.check(
        "pension-check-finds-the-dead",
        0 < len(found) < len(roll) and all(set(r) == {"citizen_id", "died_on"} for r in dead),
        "only the two granted columns, only rows of the dead",
        "仅含获授权的两列与已故者的行",
    )
    for part, purpose in ((PLANNING, AIR_POLICY), (HEALTH, RESEARCH), (EDUCATION, AIR_POLICY)):
        rows = _permitted(
            city,
            part,
            "air_quality",
            purpose,
            {
                "columns": ["district", "measured_at", "pm25"],
                "where": {"column": "pm25", "op": "gteq", "value": 35.0},
            },
        )
        narrator.permitted(
            f"{part.name_en} reads {len(rows)} air readings above 35 µg/m³.",
            f"{part.name_zh} 读取 {len(rows)} 条 PM2.5 高于 35 的记录。",
        )
    census = _permitted(city, HEALTH, "census_extract", RESEARCH, {"limit": 500})
    masked = _permitted(city, PLANNING, "population_register", AIR_POLICY, {"limit": 100})
    keys = [row["person_no"] for row in census]
    narrator.permitted(
        f"Health reads {len(census)} census rows of persons over 60, with pseudonyms such as {keys[0][:12]}…",
        f"卫健委读取 {len(census)} 行 60 岁以上普查数据，姓名为假名，如 {keys[0][:12]}…",
    )
    narrator.permitted(
        f"Planning reads masked numbers such as {masked[0]['citizen_id']}.",
        f"规划局读取脱敏号码，如 {masked[0]['citizen_id']}。",
    )
    narrator.check(
        "pseudonyms-and-masks",
        keys == sorted(keys)
        and len(set(keys)) == len(keys)
        and min(r["age"] for r in census) >= 60
        and all(set(row["citizen_id"][:-3]) <= {"*"} for row in masked),
        "pseudonymised, ordered by pseudonym, filtered and masked as the terms say",
        "按条款假名化、按假名排序、过滤并脱敏",
    )
    weather = _permitted(city, PUBLIC_SECURITY, "weather", OPEN, {"limit": 5})
    narrator.permitted(
        f"Public Security reads the open weather table ({len(weather)} rows) under the standing offer.",
        f"公安局依据无条件共享读取气象数据（{len(weather)} 行）。",
    )
    before = city.of(PLANNING).civic.dry_run(city.assets["air_quality"], AIR_POLICY, {"columns": ["pm25"]})
    narrator.check(
        "dry-run-charges-nothing",
        before["decision"] == "permit",
        "a dry run decides and explains without charge",
        "试运行只裁决与解释，不计次",
    )


def _permitted(
    city: City, part: Part, key: str, purpose: str, query: Mapping[str, Any]
) -> list[dict[str, Any]]:
    released = city.of(part).civic.read(city.assets[key], purpose, query)
    city.permitted += 1
    return released.rows()


def _own_roll() -> set[str]:
    import csv

    with dataset_path("pension_roll").open(newline="") as file:
        return {row["citizen_id"] for row in csv.DictReader(file)}


def refuse(narrator: Narrator, city: City) -> None:
    """Calls that must fail, each for its own reason, each refusal logged with a receipt."""
    steward = city.of(PUBLIC_SECURITY)
    _hand_in(
        city,
        steward,
        draft_revocation(city.grants["register-masked"], "purpose-ended"),
        [steward.secrets["steward"]],
    )
    attempts: list[tuple[Part, str, str, Mapping[str, Any]]] = [
        (ELDER_CARE, "population_register", "dpv:Marketing", {"columns": ["citizen_id"]}),
        (ELDER_CARE, "population_register", PENSION_CHECK, {"columns": ["citizen_id", "surname"]}),
        (PLANNING, "population_register", AIR_POLICY, {"limit": 1}),
        (EDUCATION, "air_quality", AIR_POLICY, {"columns": ["pm25"]}),
        (EDUCATION, "census_extract", RESEARCH, {"limit": 1}),
    ]
    for part, key, purpose, query in attempts:
        _denied(
            narrator,
            city,
            part,
            partial(city.of(part).civic.read, city.assets[key], purpose, query),
        )
    _denied(narrator, city, HEALTH, lambda: _replay(city))
    _wait_until_expired(city)
    _denied(
        narrator,
        city,
        EDUCATION,
        lambda: city.of(EDUCATION).civic.read(city.assets["respiratory_visits"], AIR_POLICY, {"limit": 1}),
    )
    wanted = {
        "purpose.mismatch",
        "column.not-granted",
        "grant.revoked",
        "uses.exhausted",
        "grant.none",
        "call.replayed",
        "grant.expired",
    }
    narrator.check(
        "denials-say-why",
        set(city.denials) == wanted,
        f"{len(wanted)} kinds of refusal, each with its reason and a receipt",
        f"{len(wanted)} 类拒绝，均附原因与收据",
    )


def _denied(narrator: Narrator, city: City, part: Part, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except ServiceProblem as refused:
        code = refused.reasons[0]
        city.denials[code] += 1
        logged = refused.receipt is not None
        narrator.denied(say(part.name_en, part.name_zh), code, _why(refused))
        narrator.check(
            f"logged-{code}",
            logged,
            "the refusal is in the log; its receipt was verified",
            "拒绝已入日志，收据已核验",
        )
        return
    narrator.check("denied", False, "a call that had to be refused was let through", "本应拒绝的调用被放行")


def _why(refused: ServiceProblem) -> str:
    told = refused.document.get("explanation", {}).get(language(), {})
    return " ".join(line["text"] for line in told.get("lines", [])[:1]) or refused.message


def _replay(city: City) -> None:
    """Send one signed call twice, byte for byte, as somebody on the network could."""
    civic = city.of(HEALTH).civic
    body = json.dumps({"asset": city.assets["weather"], "purpose": OPEN, "query": {"limit": 1}}).encode()
    call = civic.transport.prepare(
        "POST", "/v1/read", body=body, headers={"Content-Type": "application/json"}
    )
    for _ in range(2):
        with civic.transport.exchange(call) as stream:
            civic.checked(Answer(stream.status, stream.headers, stream.read()))
        city.permitted += 1


def _wait_until_expired(city: City) -> None:
    grant = city.of(EDUCATION).civic.grant(city.grants["visits-education"])
    time.sleep(max(0.0, int(grant["terms"]["expiry"]) - time.time() + 0.2))


def anchor(narrator: Narrator, city: City) -> int | None:
    """Wait for the head that covers everything so far to stand on chain."""
    anchored = wait_for_anchor(city, 20)
    if anchored is None:
        narrator.check("head-anchored", False, "the head was not anchored in time", "日志头未能及时锚定")
        return None
    narrator.check(
        "head-anchored",
        True,
        f"{anchored['size']} entries anchored in block {anchored['block']}; the contract checked that they extend the last head",
        f"{anchored['size']} 条已锚定于区块 {anchored['block']}；合约已核验其延续上一日志头",
    )
    return int(anchored["block"])


def wait_for_anchor(city: City, seconds: float) -> dict[str, Any] | None:
    """The anchored head once it covers what the log holds now; None when that takes too long."""
    civic = city.of(BUREAU).civic
    size = civic.status()["log"]["size"]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        anchored: dict[str, Any] | None = civic.status()["log"]["anchored"]
        if anchored is not None and anchored["size"] >= size:
            return anchored
        time.sleep(0.2)
    return None


def audit(narrator: Narrator, city: City) -> tuple[Path, dict[str, Any]]:
    """The auditor's own calls are entries too."""
    civic = city.of(AUDIT).civic
    denials = list(civic.entries(decision="deny"))
    by_department = Counter(item["entry"]["department"] for item in denials)
    narrator.tell(
        f"{len(denials)} refusals in the log: {dict(by_department)}",
        f"日志中有 {len(denials)} 次拒绝：{dict(by_department)}",
    )
    narrator.check(
        "every-denial-is-logged",
        len(denials) == sum(city.denials.values()),
        "every refusal of this story is in the log, and no other",
        "本演示的每次拒绝都在日志中，且无其他",
    )
    permits = list(civic.entries(decision="permit"))
    narrator.check(
        "every-read-is-logged",
        len(permits) == city.permitted,
        "every answered read has its entry",
        "每次放出的读取都有日志条目",
    )
    bundle = city.home / "audit-bundle.tar"
    bundle.unlink(missing_ok=True)
    civic.export(bundle)
    return bundle, civic.status()


def verify(narrator: Narrator, city: City, bundle: Path) -> Path:
    """The offline check as a stranger makes it; the trust file holds heads that the departments' clients kept."""
    trust = city.of(AUDIT).directory / "trust.json"
    document = {**city.trust.document, "pins": _kept_heads(city)}
    trust.write_text(json.dumps(document, indent=1) + "\n")
    pinned = verify_bundle(bundle, trust)
    said = "; ".join([pinned.word, pinned.anchor, *pinned.held_elsewhere])
    narrator.check(
        "offline-verified",
        pinned.word == "verified" and len(pinned.held_elsewhere) > 0,
        f"against the trust file: {said}",
        f"对照信任文件：{said}",
    )
    alone = verify_bundle(bundle)
    narrator.check(
        "without-trust-self-consistent-only",
        alone.word == "self-consistent only",
        f"without a trust file: {alone.word}",
        f"无信任文件：{alone.word}",
    )
    command = f"civic audit verify {bundle} --trust {trust}"
    narrator.tell(f"Do it yourself: {command}", f"自行核验：{command}")
    return trust


def _kept_heads(city: City) -> list[dict[str, object]]:
    """The newest heads that the departments' own clients verified and kept: out of the operator's reach."""
    seen = {
        checkpoint.size: {"size": checkpoint.size, "root": b64(checkpoint.root)}
        for actor in city.actors.values()
        if (checkpoint := actor.civic.memory.seen) is not None and checkpoint.size > 0
    }
    return [seen[size] for size in sorted(seen)]


def _hand_in(city: City, actor: Actor, draft: ActDraft, secrets: list[bytes]) -> dict[str, Any]:
    done = submit(actor.civic, sign_act(draft, city.trust, secrets))
    if done["state"] != "recorded":
        raise ClientError(f"{draft.type} is {done['state']} after its time", code="act.pending")
    return done
