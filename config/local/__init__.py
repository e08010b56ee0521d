"""Running the project on one machine without a system database: PostgreSQL, Redis, the demo."""
