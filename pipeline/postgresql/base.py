"""Django's module of a backend: its `DatabaseWrapper`.

One place says which errors mean that this session, or this server, is no good now: they are raised as
OperationalError, which everybody takes for "the database is away", and the session is never used again.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

import psycopg
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper, OperationalError
from django.utils.functional import cached_property

from pipeline.postgresql import sessions

# Beside what psycopg itself calls an OperationalError. A read-only server is a replica, or one that fails over; the
# others say that the session was ended, or that a pooler gave us another one's.
GONE: Final = frozenset(
    {
        "25006",  # read_only_sql_transaction
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
        "26000",  # invalid_sql_statement_name: a statement that we prepared is not there
        "34000",  # invalid_cursor_name
        "42P05",  # duplicate_prepared_statement
    }
)
# Of those that psycopg calls so: the session is of no use, though its socket may be open.
GONE_CLASSES: Final = ("08", "57P")
_OPTIONS: Final = ("session_limits", "prepare_shared")

# How sessions of this process plan, beside its settings: pipeline.db.go_by_index adds to it.
wishes: Final[dict[str, str]] = {"plan_cache_mode": "force_generic_plan"}


class DatabaseWrapper(base.DatabaseWrapper):
    """OPTIONS has two names more than Django's.

    `session_limits`: settings that every session must have, to their values. `prepare_shared`: prepare statements
    through a pooler too, which must be able to carry them.
    """

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        """Context manager: the driver's errors as django.db's."""
        return _Errors(self)

    def get_connection_params(self) -> dict[str, Any]:
        """The driver's parameters, without this backend's own two options."""
        params: dict[str, Any] = super().get_connection_params()
        return {name: value for name, value in params.items() if name not in _OPTIONS}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A session; of the pool's, one that is fit: those that are not are replaced on the way."""
        connection = super().get_new_connection(conn_params)
        pool = self.pool
        if pool is None:
            return connection
        for _ in range(pool.max_size + 1):
            if sessions.is_fit(connection):
                return connection
            connection.close()
            pool.putconn(connection)
            connection = super().get_new_connection(conn_params)
        return connection

    def init_connection_state(self) -> None:
        """Settle a new session; one that cannot be settled is closed."""
        try:
            super().init_connection_state()
        except BaseException:
            self.close()
            raise

    def is_usable(self) -> bool:
        """Django asks before it uses a kept connection again, and after an error."""
        return self.connection is not None and sessions.is_fit(self.connection)

    def chunked_cursor(self) -> Any:
        """Outside a transaction a pooler may answer the next FETCH by another session: all rows at once then."""
        self.ensure_connection()
        if sessions.is_shared(self.connection) and not self.in_atomic_block:
            return self.cursor()
        return super().chunked_cursor()

    def _configure_connection(self, connection: Any) -> bool:
        given: Mapping[str, Any] = self.settings_dict["OPTIONS"]
        sessions.settle(connection, given.get("session_limits", {}), wishes)
        if sessions.is_shared(connection) and not given.get("prepare_shared"):
            connection.prepare_threshold = None
        super()._configure_connection(connection)  # type: ignore[misc] # not in the stubs
        return True

    def _close(self) -> None:
        if self.connection is not None and self.pool and sessions.is_given_up(self.connection):
            self.connection.close()  # so that the pool replaces it
        super()._close()  # type: ignore[misc] # not in the stubs


class _Errors(DatabaseErrorWrapper):
    wrapper: DatabaseWrapper

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(exc_value, psycopg.Error) and _is_gone(exc_value.sqlstate):
            self.wrapper.errors_occurred = True
            sessions.give_up(self.wrapper.connection)
            raise OperationalError(*exc_value.args).with_traceback(traceback) from exc_value
        super().__exit__(exc_type, exc_value, traceback)


def _is_gone(state: str | None) -> bool:
    return state is not None and (state in GONE or state.startswith(GONE_CLASSES))
