// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Admissions} from "./Admissions.sol";
import {Council} from "./Council.sol";
import {Emergencies} from "./Emergencies.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {Recoveries} from "./Recoveries.sol";

/// @title The rarer half of the ledger's code
/// @notice One contract may hold 24,576 bytes (EIP-170); the ledger needs more. This half is deployed by the
/// SharingLedger's constructor, bound to it for ever, and runs by delegatecall on its slots. Called by itself
/// it has no council and no officers, so every act of it reverts.
contract Governance is Admissions, Recoveries, Council, Emergencies {
    constructor(bytes32 salt_) SaltedDomain("Civic Ledger SharingLedger", "1", salt_) {}

    /// @dev Signatures name the ledger that deploys this half.
    function _home() internal view override returns (address) {
        return msg.sender;
    }
}
