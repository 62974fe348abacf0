// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// A seat: an address bound to one department for ever, with its roles and term. People and attest
// keys share this table, so that an address has one place only.
//
//   bits    width  field
//   0-23    24     department
//   24-39   16     roles (types/Codes.sol)
//   40-79   40     notBefore: first second in office
//   80-119  40     notAfter: last second in office; 2^40-1 = open
//   120-127 8      flags: 1 removed, 2 rotated out, 4 veto spent
//   128-255 128    zero
type OfficerWord is uint256;

uint8 constant SEAT_REMOVED = 1;
uint8 constant SEAT_ROTATED = 2;
uint8 constant SEAT_VETO_SPENT = 4;

using {
    department,
    roles,
    notBefore,
    notAfter,
    flags,
    isEmpty,
    inOffice,
    serves,
    withFlag
} for OfficerWord global;

function packOfficer(uint24 department_, uint16 roles_, uint40 notBefore_, uint40 notAfter_, uint8 flags_)
    pure
    returns (OfficerWord)
{
    return OfficerWord.wrap(
        uint256(department_) | uint256(roles_) << 24 | uint256(notBefore_) << 40 | uint256(notAfter_) << 80
            | uint256(flags_) << 120
    );
}

function department(OfficerWord w) pure returns (uint24) {
    return uint24(OfficerWord.unwrap(w));
}

function roles(OfficerWord w) pure returns (uint16) {
    return uint16(OfficerWord.unwrap(w) >> 24);
}

function notBefore(OfficerWord w) pure returns (uint40) {
    return uint40(OfficerWord.unwrap(w) >> 40);
}

function notAfter(OfficerWord w) pure returns (uint40) {
    return uint40(OfficerWord.unwrap(w) >> 80);
}

function flags(OfficerWord w) pure returns (uint8) {
    return uint8(OfficerWord.unwrap(w) >> 120);
}

function isEmpty(OfficerWord w) pure returns (bool) {
    return OfficerWord.unwrap(w) == 0;
}

// Within its term and neither removed nor rotated out. An empty word is not in office: its term ended at
// second 0. Without branches, because every signature is asked this.
function inOffice(OfficerWord w, uint256 time) pure returns (bool yes) {
    assembly ("memory-safe") {
        let early := lt(time, and(shr(40, w), 0xffffffffff))
        let late := gt(time, and(shr(80, w), 0xffffffffff))
        let gone := and(shr(120, w), 3)
        yes := iszero(or(or(early, late), gone))
    }
}

// In office, in this department, with every one of these roles.
function serves(OfficerWord w, uint256 time, uint24 department_, uint16 needs) pure returns (bool yes) {
    bool present = inOffice(w, time);
    assembly ("memory-safe") {
        yes := and(and(present, eq(and(w, 0xffffff), department_)), eq(and(shr(24, w), needs), needs))
    }
}

function withFlag(OfficerWord w, uint8 flag) pure returns (OfficerWord) {
    return OfficerWord.wrap(OfficerWord.unwrap(w) | uint256(flag) << 120);
}
