"""Sending a run's status: to topics, to the event bus, to Slack."""
