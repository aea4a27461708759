"""How it is run: the command `housing`, schedules and deployments as data."""
