"""Finding out on a shadow database: the proof of a rollback, the trace of locks, lost data."""
