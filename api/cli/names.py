"""The names for numbers and hashes in an act's words, as the service publishes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from api.protocol.errors import ClientError
from api.sdk.codes import CONDITION_KINDS, SEAT_ROLES, SERVICE_ROLES, bits_of
from api.terminal.language import say
from languages.choice import Language
from languages.texts import N_, translated
from ledger.acts.wording import value_text
from ledger.audit.formats.checkpoint import Origin
from ledger.chain.messages import Message, normalise, record_id
from ledger.errors import LedgerError
from ledger.ids import asset_text, department_of, parse_asset

if TYPE_CHECKING:
    from api.protocol.trust import Trust
    from api.sdk.published import Register
    from ledger.acts.naming import Kind


class PublishedNames:
    """`Names` of a register. If a name cannot be fetched, it is omitted: the id beside it is what is signed."""

    def __init__(self, register: Register, trust: Trust) -> None:
        self._register = register
        self._trust = trust
        self.given = False
        """Whether a name was returned: then the output says who published it (`source`)."""

    def name(self, kind: Kind, value: Any, language: Language) -> str:
        ask: Mapping[Kind, Callable[[Any, Language], str]] = {
            "department": self._department,
            "dataset": self._dataset,
            "grant": self._grant,
            "person": self._person,
            "service-key": self._service_key,
            "log": self._log,
            "condition": self._condition,
            "hand-over": self._hand_over,
        }
        try:
            found = ask[kind](value, language)
        except ClientError:
            return ""
        self.given = self.given or bool(found and kind != "log")
        return found

    def source(self) -> list[str]:
        """The sentence that names are not signed; empty if no name was shown."""
        if not self.given:
            return []
        said = say(
            "what stands in brackets behind a number is what the service says of it; what is signed is the number"
        )
        return [f"  {said}"]

    def _department(self, number: int, language: Language) -> str:
        found = self._register.department(number)
        return _in(((found or {}).get("profile") or {}).get("name"), language)

    def _dataset(self, asset: int, language: Language) -> str:
        found = self._register.dataset(asset)
        return _in(((found or {}).get("metadata") or {}).get("title"), language)

    def _grant(self, grant: str, language: Language) -> str:
        found = self._register.grant(grant)
        if found is None:
            return ""
        if found["kind"] == "terms":
            terms = _terms_of(grant, found["terms"])
            return "" if terms is None else self._access(terms["asset"], terms["grantee"], language)
        access = self._access(parse_asset(found["asset"]), found["grantee"], language)
        said = N_("emergency grant, {access}") if found["kind"] == "emergency" else N_("cancelled, {access}")
        return translated(said, language, access=access)

    def _access(self, asset: int, grantee: int, language: Language) -> str:
        title = self._dataset(asset, language)
        to = value_text("Terms", "grantee", grantee, language)
        return translated(
            "dataset {asset} {title}, {to}", language, asset=asset_text(asset), title=title, to=to
        )

    def _person(self, address: str, language: Language) -> str:
        found = self._register.seat(address)
        if found is None:
            return ""
        department, seat = found
        roles = value_text("AddOfficer", "roles", bits_of(SEAT_ROLES, seat["roles"]), language)
        of = value_text("Terms", "grantee", department, language)
        return translated("{department}, {what}", language, department=of, what=roles)

    def _service_key(self, key: str, language: Language) -> str:
        for number in self._register.departments:
            found = self._register.department(number)
            for one in found["service_keys"] if found else ():
                if f"0x{one['key']}" == key:
                    of = value_text("Terms", "grantee", number, language)
                    roles = bits_of(SERVICE_ROLES, one["roles"])
                    said = value_text("AddServiceKey", "roles", roles, language)
                    return translated("{department}, {what}", language, department=of, what=said)
        return ""

    def _log(self, hashed: str, _: Language) -> str:
        ours = Origin.parse(self._trust.log_key.name)
        for origin in (ours, ours.next()):
            if hashed == "0x" + hashlib.sha256(str(origin).encode()).hexdigest():
                return str(origin)
        return ""

    def _condition(self, number: int, language: Language) -> str:
        found = self._register.condition(number)
        if found is None:
            return ""
        kind = value_text("OpenCondition", "kind", CONDITION_KINDS[found["kind"]], language)
        of = value_text("Terms", "grantee", department_of(number), language)
        return translated("{department}, {what}", language, department=of, what=kind)

    def _hand_over(self, identity: str, language: Language) -> str:
        found = self._register.council.get("hand_over") or {}
        if found.get("id") != identity:
            return ""
        when = value_text("HandOver", "handOverAt", int(found["hand_over_at"]), language)
        to = found["successor"]
        return translated("to {address}, {time}", language, address=to, time=when)


def _terms_of(grant: str, shown: Mapping[str, Any]) -> Message | None:
    """The terms whose hash is the grant's id. Other terms could make an officer end a different grant than intended."""
    try:
        terms = normalise("Terms", shown)
        return terms if record_id("Terms", terms) == grant else None
    except (LedgerError, ValueError, KeyError, TypeError):
        return None


def _in(words: object, language: Language) -> str:
    """A text in several languages: in this language, or in any that exists."""
    given = words if isinstance(words, Mapping) else {}
    found = given.get(language) or next(iter(given.values()), "")
    return found if isinstance(found, str) else ""
