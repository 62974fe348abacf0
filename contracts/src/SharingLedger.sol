// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Assets} from "./Assets.sol";
import {CouncilSeats} from "./CouncilSeats.sol";
import {Governance} from "./Governance.sol";
import {Grants} from "./Grants.sol";
import {LEDGER_NAME, LEDGER_VERSION, continueIn} from "./LedgerPart.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {Stewardship} from "./Stewardship.sol";
import {Usage} from "./Usage.sol";

/// @title The sharing ledger: departments, assets, grants and their use, in one deployment
/// @notice Immutable. No owner, no upgrade, no ether: every authority is a verified signature, and whoever
/// submits it decides nothing. The acts of every day are here; the others run in two fixed parts of the same
/// contract, on the same slots (LedgerPart). They stand apart also because the compiler tests selectors one
/// after another, 22 gas each.
contract SharingLedger is Assets, Grants, Usage, CouncilSeats {
    /// @notice The part with departments, officers, keys and the council; it hands on to `stewardship`.
    address public immutable governance;
    /// @notice The part with the rarer acts on assets and grants, and their views.
    address public immutable stewardship;

    /// @param members Of the first council.
    /// @param threshold Signatures an act of the council needs.
    /// @param guardian May pause.
    /// @param admissionDelay Seconds between proposal and admission; 0 only in development.
    /// @param salt_ Random, for the EIP-712 domain.
    constructor(
        address[] memory members,
        uint8 threshold,
        address guardian,
        uint32 admissionDelay,
        bytes32 salt_
    ) SaltedDomain(LEDGER_NAME, LEDGER_VERSION, salt_) {
        stewardship = address(new Stewardship(salt_));
        governance = address(new Governance(salt_, stewardship));
        _seatCouncil(members, threshold, guardian, 1, admissionDelay);
    }

    /// @dev The same fixed code for ever: this is a split of one contract, not a proxy.
    fallback() external {
        continueIn(governance);
    }
}
