"""What runs on this machine only, never in Lambda: the embedded Postgres, the local AWS."""
