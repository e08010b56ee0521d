"""Everything broken on purpose, on real processes, against a log kept by the customers: `make chaos`."""
