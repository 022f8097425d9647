"""The demo: its scenarios, its local Slack and CodePipeline. Never shipped to Lambda."""
