"""Telling people and machines how a run stands: chat, e-mail, topics, the event bus."""
