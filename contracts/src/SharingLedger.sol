// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetActs} from "./AssetActs.sol";
import {Assets} from "./Assets.sol";
import {CouncilSeats} from "./CouncilSeats.sol";
import {Governance} from "./Governance.sol";
import {Grants} from "./Grants.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {Usage} from "./Usage.sol";

/// @title The sharing ledger: departments, assets, grants and their use, in one deployment
/// @notice Immutable. No owner, no upgrade, no ether: every authority is a verified signature, and whoever
/// submits it decides nothing. What an act of IOffices, ICouncil, IAssets or IGrants does not find here runs
/// in the Governance half on the same slots.
contract SharingLedger is Assets, AssetActs, Grants, Usage, CouncilSeats {
    /// @notice The half for rarer acts, deployed by this contract's constructor.
    address public immutable governance;

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
    ) SaltedDomain("Civic Ledger SharingLedger", "1", salt_) {
        governance = address(new Governance(salt_));
        _seatCouncil(members, threshold, guardian, 1, admissionDelay);
    }

    /// @dev The same fixed code for ever: this is a split of one contract, not a proxy.
    fallback() external {
        address code = governance;
        assembly ("memory-safe") {
            calldatacopy(0, 0, calldatasize())
            let done := delegatecall(gas(), code, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(done) { revert(0, returndatasize()) }
            return(0, returndatasize())
        }
    }
}
