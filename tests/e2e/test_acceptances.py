"""An acceptance is one signature in the canonical spelling."""

from __future__ import annotations

import pytest

from api.demo.city import City
from api.demo.participants import PLANNING
from api.sdk.acts import sign_act
from api.sdk.drafts import acceptance_of
from api.sdk.errors import ServiceProblem


def test_an_acceptance_in_another_spelling_is_refused(shared_city: City) -> None:
    city, grantee = shared_city, shared_city.of(PLANNING)
    grant = city.grants["air-planning"]
    terms = grantee.civic.grant(grant)["terms"]
    [signature] = sign_act(acceptance_of(terms), city.trust, [grantee.secrets["steward"]]).signatures
    digits = signature[2:]
    for spelled in (
        digits,
        "0X" + digits,
        f"0x{digits[:64]} {digits[64:]}",
        f" {signature}",
        f"{signature}\n",
        "0x0x" + digits,
        f"0x{digits}00",
        "0x" + digits.replace("0", "\uff10", 1),
        "",
    ):
        with pytest.raises(ServiceProblem) as refused:
            grantee.civic.accept(grant, spelled)
        assert refused.value.status == 400
        assert refused.value.code in ("act.signature", "request.invalid")
    with pytest.raises(ServiceProblem) as unknown:
        grantee.civic.accept("0x" + "12" * 32, digits)
    assert unknown.value.code in ("act.signature", "not-found.grant")
    assert grantee.civic.accept(grant, signature)["grant"] == grant
