"""The steps of a run as use cases, and how a run is reported."""
