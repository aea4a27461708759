"""What a delivered table must be: rules for rows, rules for batches, and a table's profile.

Pure functions of tables: no file, no database, no clock. Reading a file belongs in `sources`.
"""
