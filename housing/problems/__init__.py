"""Problems: one package for each table. Imported by name at run time only (HOUSING_PROBLEM)."""
