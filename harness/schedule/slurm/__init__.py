"""SLURM: what is asked of it, what it says of jobs, and how a run goes on without the process that began it."""
