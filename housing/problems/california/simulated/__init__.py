"""Districts that do not exist, of a California that does not either, with known true prices.

For trying the system out, for replays, and where the reference table cannot be had. Nothing here
reads a real table; nothing outside uses it without saying that the districts are simulated.
"""
