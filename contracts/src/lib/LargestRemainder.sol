// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Splitting a whole number by weights
/// @notice The method of largest remainder (Hamilton's): exact, and off by less than one unit for everybody.
library LargestRemainder {
    /// @notice Shares of `cost` in proportion to `weights`: they sum to `cost`, and weight 0 receives 0.
    /// @dev The units left after rounding down are fewer than the members with a remainder, because the
    ///      remainders sum to `left * total` and each is below `total`. The caller sees to it that some weight is
    ///      above 0, and that `ties` are as many as `weights`.
    function split(uint128 cost, uint64[] calldata weights, bytes32[] calldata ties)
        internal
        pure
        returns (uint128[] memory shares)
    {
        uint256 total = 0;
        for (uint256 i = 0; i < weights.length; ++i) {
            total += weights[i];
        }
        shares = new uint128[](weights.length);
        uint256[] memory remainders = new uint256[](weights.length);
        uint256 left = cost;
        for (uint256 i = 0; i < weights.length; ++i) {
            uint256 product = uint256(cost) * weights[i];
            shares[i] = uint128(product / total);
            remainders[i] = product % total;
            left -= shares[i];
        }
        for (; left != 0; --left) {
            uint256 first = _largest(remainders, ties);
            shares[first] += 1;
            remainders[first] = 0;
        }
    }

    function _largest(uint256[] memory remainders, bytes32[] calldata ties) private pure returns (uint256 first) {
        for (uint256 i = 1; i < remainders.length; ++i) {
            bool larger = remainders[i] > remainders[first];
            if (larger || (remainders[i] == remainders[first] && ties[i] < ties[first])) first = i;
        }
    }
}
