"""Reading SQL: splitting, telling statements apart."""
