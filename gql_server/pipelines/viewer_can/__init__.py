"""What a viewer may do with a pipeline or a job, as the commands will decide it."""
