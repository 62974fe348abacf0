// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SaltedDomain} from "./lib/SaltedDomain.sol";

string constant LEDGER_NAME = "Civic Ledger SharingLedger";
string constant LEDGER_VERSION = "2";

/// @title A part of the ledger's code
/// @notice One contract may hold 24,576 bytes (EIP-170); the ledger needs more. The parts are deployed before the
/// SharingLedger, whose constructor checks that they name it, and are bound to it for ever: it runs them by
/// delegatecall on its slots, and what one has not the next one has. Called by themselves they have no council and no
/// officers, so that every act reverts.
abstract contract LedgerPart is SaltedDomain {
    /// @notice The part that has what this one has not; zero for the last.
    address public immutable nextPart;

    /// @param ledger Where the SharingLedger will stand: signatures name it.
    constructor(bytes32 salt_, address ledger, address nextPart_)
        SaltedDomain(LEDGER_NAME, LEDGER_VERSION, salt_, ledger)
    {
        nextPart = nextPart_;
    }

    fallback() external {
        if (nextPart == address(0)) revert();
        continueIn(nextPart);
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
