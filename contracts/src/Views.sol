// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {LedgerPart} from "./LedgerPart.sol";
import {LedgerViews} from "./LedgerViews.sol";

/// @title The part of the ledger's code with the views on assets and grants
contract Views is LedgerPart, LedgerViews {
    constructor(bytes32 salt_, address ledger, address nextPart_) LedgerPart(salt_, ledger, nextPart_) {}
}
