"""What a night does, one module a step: each takes the open store and ids, and returns a record.

The top layer of the domain: steps join sources, training, gate and store, which know nothing of
one another. Tasks call them; the order in which they run belongs to the flows.
"""
