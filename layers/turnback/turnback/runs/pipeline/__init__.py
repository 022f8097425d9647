"""Jobs of CodePipeline: read, started, answered."""
