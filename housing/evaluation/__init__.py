"""How well models predict, measured on rows that they have not seen; no decision is taken here."""
