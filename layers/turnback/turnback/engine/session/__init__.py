"""One session with the server: connection, messages, advisory lock, the watch on a statement."""
