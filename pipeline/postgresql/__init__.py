"""A Django database backend, `ENGINE = "pipeline.postgresql"`: Django's own for PostgreSQL, for sessions that may lie
behind a pooler and for servers that fail over. docs/decisions/0004-connections.md says why.
"""
