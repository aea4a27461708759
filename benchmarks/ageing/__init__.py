"""A store of many nights, and what each step, command and page costs in it."""
