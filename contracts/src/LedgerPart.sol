// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SaltedDomain} from "./lib/SaltedDomain.sol";

string constant LEDGER_NAME = "Civic Ledger SharingLedger";
string constant LEDGER_VERSION = "1";

/// @title A part of the ledger's code
/// @notice One contract may hold 24,576 bytes (EIP-170); the ledger needs more. The parts are deployed by the
/// SharingLedger's constructor, bound to it for ever, and run by delegatecall on its slots. Called by
/// themselves they have no council and no officers, so that every act reverts.
abstract contract LedgerPart is SaltedDomain {
    /// @dev Signatures name the ledger that deploys this part.
    function _home() internal view virtual override returns (address) {
        return msg.sender;
    }
}

/// @dev Goes on in another part of the same contract, on the same slots, and ends the call.
function continueIn(address part) {
    assembly ("memory-safe") {
        calldatacopy(0, 0, calldatasize())
        let done := delegatecall(gas(), part, 0, calldatasize(), 0, 0)
        returndatacopy(0, 0, returndatasize())
        if iszero(done) { revert(0, returndatasize()) }
        return(0, returndatasize())
    }
}
