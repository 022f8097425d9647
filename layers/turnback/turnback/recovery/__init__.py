"""Coming back: snapshots, taken and verified before anything changes."""
