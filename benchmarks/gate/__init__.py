"""How far the gate can be trusted, measured: each module prints and stores its figures."""
