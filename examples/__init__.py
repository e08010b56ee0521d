"""Two small applications on the engine: institution registration and ledger orders."""
