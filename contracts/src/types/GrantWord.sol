// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// A grant in one slot, full to the last bit. Its key is the EIP-712 struct hash of the signed Terms
// (or of the BreakGlass message), so that the slot itself is the replay guard: once written it is never zero
// again. Of terms that were cancelled before they were sent it keeps state and asset; the rest is zero.
//
//   bits    width  field
//   0-3     4      state: 0 none, 1 active, 2 revoked, 3 cancelled before it was sent
//   4-7     4      flags: 1 delegated, 2 emergency, 4 ratified
//   8-15    8      right: 1 hold, 2 use, 3 operate
//   16-39   24     grantee; 0 = any admitted department (standing offer)
//   40-103  64     asset
//   104-143 40     notBefore
//   144-183 40     expiry: the first second in which it is dead
//   184-215 32     maxUses left to this grant itself (a delegation is deducted here); 2^32-1 = unlimited
//   216-247 32     uses: the last signed total
//   248-255 8      depth: how many further delegations may hang below
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
    isEmpty,
    isOpen,
    isOpenAlone,
    place,
    withState,
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
    return uint8(GrantWord.unwrap(w) >> 248);
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

// The same, and not delegated: no ancestor has to be asked.
function isOpenAlone(GrantWord w, uint256 time) pure returns (bool yes) {
    assembly ("memory-safe") {
        let early := lt(time, and(shr(104, w), 0xffffffffff))
        let open := lt(time, and(shr(144, w), 0xffffffffff))
        yes := gt(and(open, eq(and(w, 0x1f), 1)), early)
    }
}

function withState(GrantWord w, uint8 state_) pure returns (GrantWord) {
    return GrantWord.wrap(GrantWord.unwrap(w) & ~uint256(15) | state_);
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
