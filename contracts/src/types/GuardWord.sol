// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// The pause, and the hand-over to a successor. A pause expires by itself, and there is none in the cooldown that
// follows it. Both stand in one word, because a grant reads one word for them.
//
//   bits    width  field
//   0-39    40     pausedUntil: last second of the pause; 0 = there was none
//   40-79   40     pauseAllowedAt: first second in which a new pause may begin
//   80-119  40     freezeAt: first second in which no asset and no grant begins here any more; 0 = no hand-over is announced
//   120-159 40     handOverAt: first second in which the successor acts, and nobody calls it off
//   160-255 96     zero
type GuardWord is uint256;

using {pausedUntil, pauseAllowedAt, freezeAt, handOverAt, withPause, withHandOver, isHandedOver} for GuardWord global;

uint256 constant PAUSE_FIELDS = (1 << 80) - 1;

/// @dev The hand-over stays as it is.
function withPause(GuardWord w, uint40 pausedUntil_, uint40 pauseAllowedAt_) pure returns (GuardWord) {
    return GuardWord.wrap(
        GuardWord.unwrap(w) & ~PAUSE_FIELDS | uint256(pausedUntil_) | uint256(pauseAllowedAt_) << 40
    );
}

/// @dev The pause stays as it is. Zeros: none is announced.
function withHandOver(GuardWord w, uint40 freezeAt_, uint40 handOverAt_) pure returns (GuardWord) {
    return GuardWord.wrap(
        GuardWord.unwrap(w) & PAUSE_FIELDS | uint256(freezeAt_) << 80 | uint256(handOverAt_) << 120
    );
}

/// @return yes The successor acts, for ever.
function isHandedOver(GuardWord w, uint256 time) pure returns (bool yes) {
    uint40 at = handOverAt(w);
    return at != 0 && time >= at;
}

function freezeAt(GuardWord w) pure returns (uint40) {
    return uint40(GuardWord.unwrap(w) >> 80);
}

function handOverAt(GuardWord w) pure returns (uint40) {
    return uint40(GuardWord.unwrap(w) >> 120);
}

function pausedUntil(GuardWord w) pure returns (uint40) {
    return uint40(GuardWord.unwrap(w));
}

function pauseAllowedAt(GuardWord w) pure returns (uint40) {
    return uint40(GuardWord.unwrap(w) >> 40);
}
