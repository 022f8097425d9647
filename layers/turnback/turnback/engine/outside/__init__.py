"""What cannot run in a transaction, and what such a migration leaves half done."""
