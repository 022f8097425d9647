"""What happened in a run, in words: for a chat, an e-mail, a pipeline, a terminal."""
