"""What each key, each pair of keys and the council obtain: tried on a chain, recorded in ``contracts/powers.json``."""
