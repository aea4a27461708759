"""The command line `housing`. Modules here import nothing slow until a command needs it."""

import time

BEGAN = time.perf_counter()
"""When the program began, but for some hundredths of a second."""
