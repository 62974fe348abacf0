"""Every act, complete: drafted, worded, signed by one officer after the other, submitted, recorded once,
proven.

The table is `LIFE`: the first test fails if a type or function of the contracts has no line in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli.main import main
from api.cli.names import PublishedNames
from api.cli.signing import in_words
from api.demo.participants import PASSPHRASE
from api.protocol.keystore import import_secp256k1
from api.sdk.acts import ActDraft, read_act
from api.sdk.client import Civic
from api.sdk.errors import AnswerRefused
from api.sdk.published import Register
from api.terminal import language as tongue
from ledger.acts.documents import documents_named
from ledger.acts.naming import kind_of
from ledger.acts.rules import RULES, _by_contract
from ledger.acts.wording import describe
from ledger.chain.calls import act_types, functions_of
from ledger.chain.messages import fields, type_names
from ledger.chain.signers import sign_digest
from ledger.outbox import SignedAct
from tests.simulators.governed_city import EARLY, LIFE, NOTHING, PURPOSE, Act, GovernedCity, secret

PARTS = {"Seat", "ServiceKey", "Usage"}
"""Types that occur only inside messages."""
BY_MACHINES = frozenset({"head", "delegated with its total"})
"""Acts that no officer submits with `civic submit`: the service signs them or adds a part."""
WITHOUT_RECEIPT = frozenset({"head"})
"""An anchor is not an entry of the log that it anchors."""


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GovernedCity]:
    made = GovernedCity.found(tmp_path_factory.mktemp("governed") / "home")
    yield made
    made.service.stop()


@pytest.fixture(scope="module")
def web(city: GovernedCity) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=city.service.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def civic(city: GovernedCity, tmp_path_factory: pytest.TempPathFactory) -> Civic:
    return Civic(city.service.url, city.trust, tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def profile(city: GovernedCity, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profile")
    (folder / "profile.json").write_text(
        json.dumps({"url": city.service.url, "department": 7, "officer": "7-steward"})
    )
    (folder / "trust.json").write_bytes((city.home / "trust.json").read_bytes())
    (folder / "words").write_text(PASSPHRASE + "\n")
    (folder / "words").chmod(0o600)
    return folder


def post(web: httpx.Client, document: Any) -> tuple[int, dict[str, Any]]:
    answer = web.post("/v1/acts", json=document, params={"wait": 20})
    return answer.status_code, answer.json()


def size_of(civic: Civic) -> int:
    return int(civic.status()["log"]["size"])


def test_the_table_has_every_message_and_every_function(city: GovernedCity) -> None:
    made = [SignedAct.from_json(city.make(name)) for name in LIFE]
    types = {act.type for act in made}
    assert types == set(type_names()) - PARTS == set(act_types())
    assert {act.function.name for act in made} == {
        function.name for kind in types for function in functions_of(kind)
    }


def bring_to(city: GovernedCity, web: httpx.Client, name: str) -> None:
    """Record every act before this one that this city has not recorded yet, because the tests may run in
    several processes."""
    for earlier in takewhile(lambda one: one != name, LIFE):
        if earlier not in city.had and earlier not in EARLY:
            status, answer = post(web, city.make(earlier))
            assert (status, answer["state"]) == (200, "recorded"), answer
            city.had.add(earlier)


@pytest.mark.parametrize("name", LIFE)
def test_every_act_is_drafted_signed_recorded_and_proven(
    city: GovernedCity,
    web: httpx.Client,
    civic: Civic,
    profile: Path,
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bring_to(city, web, name)
    session = SigningSession(city, profile, tmp_path, capsys)
    act, before = city.make(name), size_of(civic)
    session.refuses_wrong_documents(act)
    session.refuses_strangers(act)
    draft = session.signs(act)
    must_be_worded(draft, civic)
    for rubbish in spoiled(city, act):
        status, problem = post(web, rubbish)
        assert 400 <= status < 500, (rubbish, problem)
        assert problem["code"].count("."), problem
    assert size_of(civic) == before
    if name in EARLY:
        assert session.hands_in() == (1, "act.refused")
        return
    if name in BY_MACHINES:
        assert post(web, act)[0] == 200
    else:
        assert session.hands_in() == (0, "recorded")
    city.had.add(name)
    is_on_record_once(city, web, civic, act, name in WITHOUT_RECEIPT)


def is_on_record_once(
    city: GovernedCity, web: httpx.Client, civic: Civic, act: Act, without_receipt: bool
) -> None:
    size = size_of(civic)
    status, again = post(web, act)
    assert (status, again.get("state")) == (200, "recorded"), again
    assert again["digest"].partition(":")[0] == city.digest_of(act)
    seen = civic.transport.call("GET", f"/v1/acts/{again['digest']}").json()
    assert without_receipt_of(seen) == without_receipt_of(again)
    if without_receipt:
        assert "receipt" not in seen
        with pytest.raises(AnswerRefused):
            civic.act_status(again["digest"])  # The client has no proof that it was recorded.
    else:
        assert civic.act_status(again["digest"])["entry"]["type"].startswith("chain:")
    assert size_of(civic) == size


def without_receipt_of(answer: dict[str, Any]) -> dict[str, Any]:
    """The state without the receipt, which changes with the newest checkpoint."""
    kept = {name: value for name, value in answer.items() if name not in ("receipt", "entry", "proposal")}
    return kept | {"proposal": without_receipt_of(answer["proposal"])} if "proposal" in answer else kept


class SigningSession:
    """The commands of officers with one profile folder: `civic draft`, `civic sign`, `civic submit`."""

    def __init__(
        self, city: GovernedCity, profile: Path, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.city, self.profile, self.folder, self.capsys = city, profile, folder, capsys
        self.file = folder / "act.json"

    def run(self, *line: object) -> tuple[int, dict[str, Any], str]:
        self.capsys.readouterr()
        code = main([*map(str, line), "--profile", str(self.profile), "--json"])
        said = self.capsys.readouterr()
        return code, json.loads(said.out), said.err

    def signs(self, act: Act) -> ActDraft:
        """The act file with the last officer's signature first, because officers need not know the order."""
        *others, first = self.keys(*self.city.signers_of(act))
        code, said, shown = self.run(*self.drafting(act), "--save", self.file, *first)
        assert (code, said.get("digest")) == (0, self.city.digest_of(act)), said
        for key in others:
            code, said, again = self.run("sign", self.file, *key)
            assert (code, said.get("added")) == (0, 1), said
            assert shown.startswith(again), "every officer reads the same"
        return read_act(self.file)

    def hands_in(self) -> tuple[int, str]:
        code, said, _ = self.run("submit", self.file)
        return code, said.get("state") or said["error"]["code"]

    def refuses_wrong_documents(self, act: Act) -> None:
        """The act drafted by command, without signatures."""
        for documents, codes in wrong_documents(act):
            [first, *_] = self.keys(*self.city.signers_of(act))
            wrong = self.drafting(act | {"documents": documents})
            code, said, _ = self.run(*wrong, "--save", self.file, *first)
            assert (code, said["error"]["code"] in codes) == (1, True), said
            assert not self.file.exists()

    def refuses_strangers(self, act: Act) -> None:
        """An officer who is not needed for the act cannot sign it."""
        [key] = self.keys("stranger")
        code, said, _ = self.run(*self.drafting(act), "--save", self.file, *key)
        if RULES[act["type"]] is _by_contract or code == 0:
            assert (RULES[act["type"]] is _by_contract, code) == (True, 0), said
            self.file.unlink()
            return
        assert said["error"]["code"].startswith("act.signer-"), said
        assert not self.file.exists()

    def drafting(self, act: Act) -> list[object]:
        """The command line that drafts this act."""
        line: list[object] = [
            "draft",
            act["type"],
            "--message",
            f"@{self.written('message', act['message'])}",
        ]
        for name, value in act.get("arguments", {}).items():
            line += ["--argument", f"{name}=@{self.written(name, value)}"]
        for number, document in enumerate(act.get("documents", [])):
            line += ["--document", self.written(f"paper-{number}", document)]
        return line

    def written(self, name: str, value: Any) -> Path:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(value))
        return path

    def keys(self, *names: str) -> list[list[object]]:
        """The options with which each of these officers signs."""
        found: list[list[object]] = []
        for name in dict.fromkeys(names):
            path = self.profile / "keys" / f"{name.replace(':', '-')}.json"
            if not path.exists():
                import_secp256k1(path, "officer", self.city.secret(name), PASSPHRASE, demo=True)
            found.append(["--key", path.stem, "--passphrase-file", self.profile / "words", "--yes"])
        return found


def wrong_documents(act: Act) -> Iterator[tuple[list[Any], set[str]]]:
    """The documents of an act missing, doubled, beside a foreign one, and with a foreign one in their place."""
    documents = act.get("documents", [])
    if not documents:
        assert not list(documents_named(act["type"], act["message"])), "its table line lacks its documents"
        yield [{"foreign": True}], {"act.document-unnamed"}
        return
    yield [], {"act.document-missing"}
    yield [*documents, documents[0]], {"act.document-repeated"}
    yield [*documents, {"foreign": True}], {"act.document-unnamed", "terms.invalid"}
    foreign = {"act.document-unnamed", "act.document-missing", "terms.invalid", "metadata.invalid"}
    yield [{"foreign": True}, *documents[1:]], foreign


def spoiled(city: GovernedCity, act: Act) -> Iterator[Act]:
    """Forms of the act that were not signed or are invalid."""
    message, signatures = act["message"], act["signatures"]
    stranger = "0x" + sign_digest(secret("stranger"), bytes.fromhex(city.digest_of(act)[2:])).hex()
    rubbish = "0x" + "00" * 65
    for other in (stranger, rubbish, "0x12"):
        yield act | {"signatures": _replaced(signatures, other)}
    yield act | {"signatures": []}
    yield act | {"signatures": {"nobody": _flat(signatures)}}
    yield act | {"signatures": [stranger] * 6}
    first = next(iter(message))
    yield act | {"message": {name: value for name, value in message.items() if name != first}}
    yield act | {"message": message | {"more": 1}}
    for value in (-1, 2**300, "x", None, [], {}, True, 1.5):
        yield act | {"message": message | {first: value}}
    for name, value in message.items():  # The same values in another spelling.
        if isinstance(value, int) and value < 2**53:
            yield act | {"message": message | {name: str(value)}}
        if isinstance(value, str) and len(value) == 66 and value != value.upper().replace("X", "x"):
            yield act | {"message": message | {name: value.upper().replace("X", "x")}}
    yield act | {"message": message | {"deadline": 1}}
    yield act | {"arguments": {"nonsense": 1}}
    for name in act.get("arguments", {}):
        for value in ("x", [], {}, None, ["x"], [{}]):
            if value != act["arguments"][name]:
                yield act | {"arguments": act["arguments"] | {name: value}}
    yield act | {"request": "not a request"}
    kept = signatures.keys() == {"possession"} if isinstance(signatures, dict) else False
    for documents, _ in wrong_documents(act):
        if documents or not kept:  # The documents of the activation came with the proposal.
            yield act | {"documents": documents}
    if act.get("documents"):
        yield act | {"documents": [{"@type": "Agreement"}]}


def _flat(signatures: Any) -> list[str]:
    if isinstance(signatures, dict):
        return [one for given in signatures.values() for one in given]
    return list(signatures)


def _replaced(signatures: Any, other: str) -> Any:
    """The signatures with the first one replaced."""
    if isinstance(signatures, dict):
        slot = next(iter(signatures))
        return signatures | {slot: [other, *signatures[slot][1:]]}
    return [other, *signatures[1:]]


# -- the words

TIMES = {"notBefore", "notAfter", "expiry", "until", "deadline", "freezeAt", "handOverAt"}
CODES = {"roles", "right", "class", "sharing", "kind", "reason", "by"}


def must_be_worded(draft: ActDraft, civic: Civic) -> None:
    """In both languages: no raw number for a time, a department, a role, a purpose; no bare hash where a name is known."""
    register = Register(civic)
    names = PublishedNames(register, civic.trust)
    admitted = set(register.departments)
    for language in ("en", "zh"):
        words = describe(draft.type, draft.message, language, names)
        for (kind, member, value), (_, text) in zip(leaves(draft.type, draft.message), words, strict=True):
            if member in TIMES:
                assert str(value) not in text, (member, text)
            if member in CODES and isinstance(value, int):
                assert not re.search(r"\d", text), (member, text)
            stands_for = kind_of(kind, member)
            if stands_for == "department" and value in admitted:
                assert (f"部门 {value}" if language == "zh" else f"Department {value}") in text
            if stands_for is None or value is None:
                continue
            known = names.name(stands_for, value, language).translate(str.maketrans("()（）", "[][]"))
            assert known[:60] in text, (member, text)
            if on_record(register, stands_for, value):
                assert known, (member, text)
                assert text != str(value)
    if any(document.get("@type") == "Agreement" for document in draft.documents):
        shown = "\n".join(in_words(draft))
        without_receipt_of = re.search(re.escape(PURPOSE) + r" \((\w+ )+", shown)
        assert without_receipt_of or PURPOSE not in json.dumps(draft.documents)


def on_record(register: Register, kind: str, value: Any) -> bool:
    """Whether the service knows the name of a number or a hash."""
    ask: dict[str, Any] = {"dataset": register.dataset, "grant": register.grant, "person": register.seat}
    return bool(value) and kind in ask and value != NOTHING and ask[kind](value) is not None


def leaves(kind: str, message: Any) -> Iterator[tuple[str, str, Any]]:
    """Every value of a message with its type and member, as the words list them."""
    for member in fields(kind):
        value, inner = message[member.name], member.type.removesuffix("[]")
        if not member.type.endswith("[]"):
            yield kind, member.name, value
        elif not value:
            yield kind, member.name, None
        for item in value if member.type.endswith("[]") else ():
            yield from leaves(inner, item) if isinstance(item, dict) else [(kind, member.name, item)]


@pytest.mark.parametrize("name", ["offer", "glass broken"])
def test_accept_says_when_a_grant_needs_no_acceptance(
    city: GovernedCity, web: httpx.Client, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Regression: an emergency grant has no terms, and was reported as one with changed terms."""
    bring_to(city, web, name)
    if name not in city.had:
        assert post(web, city.make(name))[0] == 200
        city.had.add(name)
    url = f"{city.service.url}/v1/grants/{city.id_of(name)}/acceptance"
    answer = httpx.post(url, json={"signature": "0x" + "11" * 65}, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (409, "act.nothing-to-accept")
    profile = {"url": city.service.url, "department": 9, "officer": "any"}
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    (tmp_path / "trust.json").write_bytes((city.home / "trust.json").read_bytes())
    for words, code, said in (
        (["accept"], 1, {"error": "act.nothing-to-accept"}),
        (["grants", "show"], 0, {"id": city.id_of(name)}),
    ):
        assert main([*words, city.id_of(name), "--profile", str(tmp_path), "--json"]) == code
        shown = json.loads(capsys.readouterr().out)
        assert {
            key: value["code"] if key == "error" else value for key, value in shown.items() if key in said
        } == said


def test_an_act_that_was_not_handed_in_is_not_found(city: GovernedCity) -> None:
    unknown, rubbish = (404, "not-found.act"), (400, "id.invalid")
    nobody = "0x" + "00" * 32
    cases = (
        (nobody, unknown),
        (f"{nobody}:activate", unknown),
        ("rubbish", rubbish),
        ("0x12:activate", rubbish),
    )
    for digest, expected in cases:
        answer = httpx.get(f"{city.service.url}/v1/acts/{digest}", params={"wait": 1}, timeout=60)
        assert (answer.status_code, json.loads(answer.content)["code"]) == expected


def test_a_draft_is_not_signed_by_the_officer_of_another_office(
    city: GovernedCity,
    web: httpx.Client,
    profile: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The profile names a steward: of an act of FINANCE the command says so, and which of its keys may sign."""
    bring_to(city, web, "budget")
    session, act = SigningSession(city, profile, tmp_path, capsys), city.make("budget")
    session.keys("9:finance", "7:steward")
    signing = ("--passphrase-file", profile / "words", "--yes")
    for more in ((), ("--save", session.file)):
        code, said, _ = session.run(*session.drafting(act), *signing, *more)
        assert (code, said["error"]["code"]) == (1, "act.signer-role")
        assert "without the role FINANCE" in said["error"]["message"]
        assert "--key 9-finance" in said["error"]["hint"]
    monkeypatch.setenv("CIVIC_LANG", "zh")
    tongue.language.cache_clear()
    try:
        code, said, _ = session.run(*session.drafting(act), *signing)
    finally:
        tongue.language.cache_clear()
    assert (code, "请用本配置中有权签署的密钥" in said["error"]["hint"]) == (1, True)
    assert re.search("[\u4e00-\u9fff]", said["error"]["message"])
    assert not session.file.exists()
