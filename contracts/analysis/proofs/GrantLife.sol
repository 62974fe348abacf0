// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GRANT_ACTIVE, GRANT_REVOKED, UNLIMITED} from "../../src/types/Codes.sol";

/// @title No use after revoke, and uses bounded, for every sequence of acts
/// @notice The state of one grant as its word holds it, under exactly the conditions on which UseRules, Grants and
/// GrantActs write it. The checker looks for any sequence of calls, by anybody, with any arguments, at any times, that
/// breaks an assertion; it proves that there is none, of whatever length. That the word holds these fields apart is
/// the matter of the state machines, which rebuild every word from events (tests/contracts/invariants).
contract GrantLife {
    uint8 private state = GRANT_ACTIVE;
    uint32 private uses;
    uint32 private maxUses;
    uint40 private notBefore;
    uint40 private expiry;

    // What the proof watches, which no contract stores.
    uint32 private granted;
    uint32 private passedOn;
    bool private revoked;
    uint256 private clock;

    constructor(uint32 maxUses_, uint40 notBefore_, uint40 expiry_) {
        require(maxUses_ != 0 && expiry_ > notBefore_);
        maxUses = maxUses_;
        granted = maxUses_;
        notBefore = notBefore_;
        expiry = expiry_;
    }

    /// @dev Time passes, as it will.
    function tick(uint40 by) external {
        clock += by;
    }

    /// @dev UseRules._record after _requireLive.
    function use(uint32 total) external {
        require(state == GRANT_ACTIVE && clock >= notBefore && clock < expiry);
        require(total > uses);
        require(total <= maxUses);
        uint32 before = uses;
        uses = total;
        assert(!revoked);
        assert(clock >= notBefore && clock < expiry);
        assert(uses > before);
    }

    /// @dev GrantActs._deduct: a child takes its part.
    function pass(uint32 part) external {
        require(state == GRANT_ACTIVE && clock >= notBefore && clock < expiry);
        require(part != 0);
        if (maxUses == UNLIMITED) return;
        require(part <= maxUses - uses);
        maxUses -= part;
        passedOn += part;
        assert(!revoked);
    }

    /// @dev Grants._revoke.
    function revoke() external {
        require(state == GRANT_ACTIVE);
        state = GRANT_REVOKED;
        revoked = true;
    }

    /// @dev Whatever happened: own uses and everything passed on stay within what was granted, and a revoked grant
    /// stays revoked.
    function check() external view {
        assert(uses <= maxUses);
        assert(granted == UNLIMITED || uint256(uses) + passedOn <= granted);
        assert(!revoked || state == GRANT_REVOKED);
    }
}
