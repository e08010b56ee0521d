"""News that providers send later: `meaning` has its table, `settling` acts on it, `pending` settles the rest."""
