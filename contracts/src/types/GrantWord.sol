// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GRANT_CANCELLED, UNLIMITED, USE_GRACE, USE_STEP_MAX} from "./Codes.sol";

// A grant in one slot, full to the last bit. Its key is the EIP-712 struct hash of the signed Terms
// (or of the BreakGlass message), so that the slot itself is the replay guard: once written it is never zero
// again. Of terms that were cancelled before they were sent it keeps state and asset; the rest is zero.
//
//   bits    width  field
//   0-3     4      state: 0 none, 1 active, 2 revoked, 3 cancelled before it was sent, 4 replaced by another
//   4-7     4      flags: 1 delegated, 2 emergency, 4 ratified
//   8-15    8      right: 1 hold, 2 use, 3 operate
//   16-39   24     grantee; 0 = any admitted department (standing offer)
//   40-103  64     asset
//   104-143 40     notBefore
//   144-183 40     expiry: the first second in which it is dead; of a revoked grant no later than its revocation
//   184-215 32     maxUses left to this grant itself (a delegation is deducted here); 2^32-1 = unlimited
//   216-247 32     uses: the last signed total
//   248-254 7      depth: how many further delegations may hang below
//   255     1      the grantee may derive assets under it
type GrantWord is uint256;

using {
    status,
    state,
    right,
    grantee,
    asset,
    notBefore,
    expiry,
    maxUses,
    uses,
    depth,
    mayDerive,
    isSpent,
    isEmpty,
    isOpen,
    place,
    ended,
    takes,
    withFlag,
    withMaxUses,
    withUses
} for GrantWord global;

function packGrant(
    uint8 status_,
    uint8 right_,
    uint24 grantee_,
    uint64 asset_,
    uint40 notBefore_,
    uint40 expiry_,
    uint32 maxUses_,
    uint8 depth_
) pure returns (GrantWord) {
    return GrantWord.wrap(
        uint256(status_) | uint256(right_) << 8 | uint256(grantee_) << 16 | uint256(asset_) << 40
            | uint256(notBefore_) << 104 | uint256(expiry_) << 144 | uint256(maxUses_) << 184 | uint256(depth_) << 248
    );
}

// State and flags together, as they stand in the word.
function status(GrantWord w) pure returns (uint8) {
    return uint8(GrantWord.unwrap(w));
}

function state(GrantWord w) pure returns (uint8) {
    return uint8(GrantWord.unwrap(w)) & 15;
}

function right(GrantWord w) pure returns (uint8) {
    return uint8(GrantWord.unwrap(w) >> 8);
}

function grantee(GrantWord w) pure returns (uint24) {
    return uint24(GrantWord.unwrap(w) >> 16);
}

function asset(GrantWord w) pure returns (uint64) {
    return uint64(GrantWord.unwrap(w) >> 40);
}

function notBefore(GrantWord w) pure returns (uint40) {
    return uint40(GrantWord.unwrap(w) >> 104);
}

function expiry(GrantWord w) pure returns (uint40) {
    return uint40(GrantWord.unwrap(w) >> 144);
}

function maxUses(GrantWord w) pure returns (uint32) {
    return uint32(GrantWord.unwrap(w) >> 184);
}

function uses(GrantWord w) pure returns (uint32) {
    return uint32(GrantWord.unwrap(w) >> 216);
}

function depth(GrantWord w) pure returns (uint8) {
    return uint8(GrantWord.unwrap(w) >> 248) & 127;
}

function mayDerive(GrantWord w) pure returns (bool) {
    return GrantWord.unwrap(w) >> 255 == 1;
}

// Nothing is left of a counted grant: it was used, or delegated.
function isSpent(GrantWord w) pure returns (bool) {
    return uses(w) >= maxUses(w) && maxUses(w) != UNLIMITED && state(w) != GRANT_CANCELLED;
}

function isEmpty(GrantWord w) pure returns (bool) {
    return GrantWord.unwrap(w) == 0;
}

// Asset and right together: what decides who may grant it. Never 0.
function place(GrantWord w) pure returns (uint256) {
    return GrantWord.unwrap(w) & 0xffffffffffffffff000000ff00;
}

// Active and in its time.
function isOpen(GrantWord w, uint256 time) pure returns (bool yes) {
    assembly ("memory-safe") {
        let early := lt(time, and(shr(104, w), 0xffffffffff))
        let open := lt(time, and(shr(144, w), 0xffffffffff))
        yes := gt(and(open, eq(and(w, 15), 1)), early)
    }
}

// Whether this total may be recorded at `time`: the grant was active once, has begun, has not ended USE_GRACE ago, and the
// total is higher, not more than is left and not more than USE_STEP_MAX higher.
function takes(GrantWord w, uint32 total, uint256 time) pure returns (bool yes) {
    assembly ("memory-safe") {
        let state_ := and(w, 15)
        let before := and(shr(216, w), 0xffffffff)
        let begun := iszero(lt(time, and(shr(104, w), 0xffffffffff)))
        let open := lt(time, add(and(shr(144, w), 0xffffffffff), USE_GRACE))
        let fits := and(gt(total, before), iszero(gt(total, and(shr(184, w), 0xffffffff))))
        let step := iszero(gt(sub(total, before), USE_STEP_MAX))
        let known := and(iszero(iszero(state_)), iszero(eq(state_, GRANT_CANCELLED)))
        yes := and(and(and(begun, open), and(fits, step)), known)
    }
}

// Revoked or replaced at `time`: in this state, and its expiry is no later.
function ended(GrantWord w, uint8 state_, uint256 time) pure returns (GrantWord r) {
    assembly ("memory-safe") {
        let end := and(shr(144, w), 0xffffffffff)
        if lt(time, end) { end := time }
        r := or(or(and(w, not(or(15, shl(144, 0xffffffffff)))), state_), shl(144, end))
    }
}

function withFlag(GrantWord w, uint8 flag) pure returns (GrantWord) {
    return GrantWord.wrap(GrantWord.unwrap(w) | flag);
}

function withMaxUses(GrantWord w, uint32 maxUses_) pure returns (GrantWord) {
    return GrantWord.wrap(GrantWord.unwrap(w) & ~(uint256(type(uint32).max) << 184) | uint256(maxUses_) << 184);
}

function withUses(GrantWord w, uint32 uses_) pure returns (GrantWord) {
    return GrantWord.wrap(GrantWord.unwrap(w) & ~(uint256(type(uint32).max) << 216) | uint256(uses_) << 216);
}
