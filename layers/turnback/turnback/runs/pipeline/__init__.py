"""Jobs of CodePipeline: started, answered, told."""
