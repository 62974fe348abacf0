"""Recording use on chain: one ended grant does not stop the record of others, and the status says how far the
record is behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from contracts.codes import USE_GRACE, USE_STEP_MAX
from ledger import releases
from ledger.acts.refusal import ActRefused
from ledger.grants.use_recorder import RecordingBacklog, UseRecorder
from ledger.outbox import SignedAct, accept, check, simulate_act
from ledger.projection import queries
from ledger.releases import Charges
from ledger.store.engine import reader
from ledger.store.tables.calls import ReleaseRow

UNLIMITED = 2**32 - 1


@pytest.fixture
def followed(city: Any) -> Any:
    city.follow()
    return city


@pytest.fixture
def recorder(followed: Any, tools: Any) -> UseRecorder:
    """With the attest key of department 7, which holds the asset."""
    return UseRecorder(
        followed.writer,
        followed.engine,
        followed.log,
        followed.chain,
        followed.deployment,
        followed.relayer(),
        tools.secret("7:machine"),
        clock=followed.clock,
    )


def given(followed: Any, tools: Any, used: int, **changes: Any) -> str:
    """A grant with this many uses."""
    document = followed.grant(tools.AIR, 9, **changes)
    followed.must(document)
    followed.follow()
    use(followed, tools.grant_id(document), used)
    return str(tools.grant_id(document))


def use(followed: Any, grant: str, used: int) -> None:
    with followed.engine.begin() as connection:
        releases.raise_to(connection, grant, Charges(used, followed.moment()))


def recorded(followed: Any, grant: str) -> int:
    with reader(followed.engine).connect() as connection:
        found = queries.grant(connection, grant)
    assert found is not None
    return found.uses


def rounds(followed: Any, recorder: UseRecorder) -> int:
    handed_in = recorder.step()
    relayer = followed.relayer()
    for _ in range(3):
        relayer.step()
        followed.chain.mine()
        followed.follow()
    return handed_in


def test_suspension_revocation_and_end_lose_no_use(followed: Any, recorder: UseRecorder, tools: Any) -> None:
    revoked, good = given(followed, tools, 3), given(followed, tools, 5)
    short = given(followed, tools, 7, expiry=followed.now() + 1_000)
    followed.must(followed.revocation(revoked, "7:steward"))
    followed.must(
        followed.act("SuspendAsset", {"asset": tools.AIR, "reason": "0x" + "00" * 32, "salt": 1}, "7:cdo")
    )
    followed.clock.advance(2_000)
    followed.follow()
    assert recorder.behind() == RecordingBacklog(3, 15, None, 0)
    assert rounds(followed, recorder) == 3
    assert [recorded(followed, grant) for grant in (revoked, good, short)] == [3, 5, 7]
    assert recorder.behind() == RecordingBacklog()
    assert recorder.step() == 0


def test_a_delegated_grant_is_recorded_like_every_other(
    followed: Any, recorder: UseRecorder, tools: Any
) -> None:
    parent = followed.grant(tools.AIR, 9, depth=1, maxUses=UNLIMITED)
    followed.must(parent)
    child = followed.grant(
        tools.AIR,
        1,
        "9:steward",
        parent=tools.grant_id(parent),
        expiry=parent["message"]["expiry"],
        arguments={"chain": [parent["message"]]},
    )
    followed.must(child)
    followed.follow()
    use(followed, tools.grant_id(child), 4)
    rounds(followed, recorder)
    assert recorded(followed, tools.grant_id(child)) == 4


def test_large_total_is_recorded_in_steps(followed: Any, recorder: UseRecorder, tools: Any) -> None:
    most = 2 * USE_STEP_MAX + 7
    grant = given(followed, tools, most, maxUses=UNLIMITED)
    assert rounds(followed, recorder) == 1
    assert recorded(followed, grant) == most
    with reader(followed.engine).connect() as connection:
        totals = [event.args["total"] for event in queries.events(connection, name="Used").items]
    assert totals == [USE_STEP_MAX, 2 * USE_STEP_MAX, most]


def test_skipped_total_is_not_sent_again(followed: Any, recorder: UseRecorder, tools: Any) -> None:
    """Asset 9.1 belongs to another department: the key of department 7 cannot attest its grants."""
    theirs = followed.registration(9, 1)
    followed.must(theirs)
    document = followed.grant(theirs["message"]["asset"], 7)
    followed.must(document)
    good, foreign = given(followed, tools, 2), tools.grant_id(document)
    use(followed, foreign, 6)
    assert rounds(followed, recorder) == 2
    assert (recorded(followed, good), recorded(followed, foreign)) == (2, 0)
    with reader(followed.engine).connect() as connection:
        skipped = [event.args for event in queries.events(connection, name="UseSkipped").items]
    assert skipped == [{"grant": foreign, "total": 6, "why": 7}]
    assert rounds(followed, recorder) == 0
    assert recorder.behind() == RecordingBacklog(0, 0, None, 6)
    use(followed, foreign, 8)
    assert rounds(followed, recorder) == 0, "a batch in which nothing can be done is not sent"
    use(followed, good, 3)
    assert rounds(followed, recorder) == 1
    assert recorded(followed, good) == 3


def test_use_older_than_three_days_after_the_end_is_reported_late(
    followed: Any, recorder: UseRecorder, tools: Any
) -> None:
    short = given(followed, tools, 7, expiry=followed.now() + 100)
    followed.clock.advance(100 + USE_GRACE + 1)
    followed.chain.mine()
    followed.follow()
    assert recorder.step() == 0
    assert recorder.behind() == RecordingBacklog(0, 0, None, 7)
    assert recorded(followed, short) == 0


def test_status_says_since_when_uses_are_not_on_chain(
    followed: Any, recorder: UseRecorder, tools: Any
) -> None:
    grant = given(followed, tools, 2)
    began = datetime(2026, 1, 1, tzinfo=UTC)
    rounds(followed, recorder)
    use(followed, grant, 4)
    with followed.engine.begin() as connection:
        for number in range(4):
            connection.execute(insert(ReleaseRow).values(release(grant, began + timedelta(hours=number))))
    assert recorder.behind() == RecordingBacklog(1, 2, began + timedelta(hours=2), 0)


def release(grant: str, at: datetime) -> dict[str, Any]:
    texts = ("key_id", "idempotency_key", "request_hash", "asset", "purpose", "action", "plan_hash")
    more = {"media_type": "", "state": "done", "entry_id": "", "department": 9, "grant_id": grant}
    return dict.fromkeys(texts, "") | more | {"id": str(at), "charged_at": int(at.timestamp() * 1_000_000)}


def test_a_delegation_from_a_counted_grant_deducts_from_all_uses_made(
    followed: Any, recorder: UseRecorder, tools: Any
) -> None:
    """60 of 100 uses are spent and none is on the chain: 50 can no longer be delegated, but 40 can."""
    parent = followed.grant(tools.AIR, 9, depth=1)
    followed.must(parent)
    followed.follow()
    use(followed, tools.grant_id(parent), 60)

    def delegation(uses: int) -> SignedAct:
        document = followed.grant(
            tools.AIR,
            1,
            "9:steward",
            parent=tools.grant_id(parent),
            maxUses=uses,
            expiry=parent["message"]["expiry"],
        )
        act = SignedAct.from_json(document | {"arguments": {"chain": [parent["message"]]}})
        refused = simulate_act(followed.chain, followed.deployment, act, followed.relayer().address)
        assert refused is not None
        assert refused.detail.startswith("TotalNeeded(")
        with reader(followed.engine).connect() as connection:
            delegation = tools.grant_id(document)
            last = recorder.last_use(connection, act.message["parent"], delegation, act.message["deadline"])
        assert last is not None
        return act.with_last_use(*last)

    def said(act: SignedAct) -> ActRefused | None:
        with reader(followed.engine).connect() as connection:
            assert check(connection, followed.deployment, act, followed.moment()) is None
        return simulate_act(followed.chain, followed.deployment, act, followed.relayer().address)

    too_many = said(delegation(50))
    assert too_many is not None
    assert too_many.detail.startswith("WiderThanParent(")
    act = delegation(40)
    assert said(act) is None
    assert act.id(followed.deployment) == "0x" + act.digest(followed.deployment).hex(), (
        "the officers signed nothing new"
    )
    with followed.engine.begin() as connection:
        accept(connection, followed.deployment, act, followed.moment())
    rounds(followed, recorder)
    assert recorded(followed, tools.grant_id(parent)) == 60
    with reader(followed.engine).connect() as connection:
        found = queries.grant(connection, tools.grant_id(parent))
    assert found is not None
    assert found.left == 60


def test_a_corrected_total_gives_the_uses_back(followed: Any, recorder: UseRecorder, tools: Any) -> None:
    """A machine recorded 90 uses, of which only 2 were made."""
    grant = given(followed, tools, 2)
    followed.must(
        followed.act("Use", {"grant": grant, "total": 90, "logHead": "0x" + "55" * 32}, "7:machine")
    )
    followed.follow()
    now = followed.moment()
    with followed.engine.begin() as connection:
        assert releases.charge(connection, grant, 100, now, spent=90) == 91
        for number in range(3):
            connection.execute(insert(ReleaseRow).values(release(grant, now + timedelta(hours=number))))
    wrong = {"grant": grant, "total": 3, "salt": 1}
    for signers in (("7:steward", "7:cdo"), ("9:steward", "7:steward"), ("7:admin", "9:steward")):
        document = followed.act("CorrectUses", wrong, *signers)
        with reader(followed.engine).connect() as connection:
            assert (
                check(connection, followed.deployment, SignedAct.from_json(document), followed.moment())
                is not None
            )
        assert followed.send(document).reverted
    followed.must(followed.act("CorrectUses", wrong, "7:steward", "9:steward"))
    followed.follow()
    assert recorded(followed, grant) == 3
    with reader(followed.engine).connect() as connection:
        assert releases.used(connection, [grant])[grant].used == 3
    assert recorder.step() == 0
