"""Finding out: shadow database, lock trace, fingerprint, proof."""
