"""The steps of a run, one module a step. Each takes the open store and ids, and returns a record.

Steps join sources, training, gate and store, which do not know one another. Tasks call them; flows
order them.
"""
