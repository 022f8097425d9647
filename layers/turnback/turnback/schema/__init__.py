"""What a database is: its schema as a model, read, compared, and written as SQL."""
