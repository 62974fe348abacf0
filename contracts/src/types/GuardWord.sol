// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// The pause. It expires by itself, and there is none in the cooldown that follows it.
//
//   bits    width  field
//   0-39    40     pausedUntil: last second of the pause; 2^40-1 = superseded by a successor contract
//   40-79   40     pauseAllowedAt: first second in which a new pause may begin
//   80-255  176    zero
type GuardWord is uint256;

using {pausedUntil, pauseAllowedAt} for GuardWord global;

function packGuard(uint40 pausedUntil_, uint40 pauseAllowedAt_) pure returns (GuardWord) {
    return GuardWord.wrap(uint256(pausedUntil_) | uint256(pauseAllowedAt_) << 40);
}

function pausedUntil(GuardWord w) pure returns (uint40) {
    return uint40(GuardWord.unwrap(w));
}

function pauseAllowedAt(GuardWord w) pure returns (uint40) {
    return uint40(GuardWord.unwrap(w) >> 40);
}
