"""What the database says: history, status, health, sizes, sessions. It changes nothing."""
