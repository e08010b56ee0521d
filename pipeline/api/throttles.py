"""Request rates per user or address, from settings. No security measure by itself: the ceilings are in the database."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from pipeline.api.clients import address_of

log = logging.getLogger(__name__)

# After a failure of the cache this process lets everything through for a while, so that a cache that does not
# answer costs one request its time-out and not every request.
PAUSE_AFTER_FAILURE: Final = 5.0  # seconds


class Throttle(ScopedRateThrottle):
    """The rate of the view's `throttle_scope`; open when the cache is down."""

    _quiet_until = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Whether the request may go on."""
        if time.monotonic() < Throttle._quiet_until:
            return True
        try:
            return super().allow_request(request, view)
        except Exception as error:  # noqa: BLE001 - the cache's clients have no common root of errors
            Throttle._quiet_until = time.monotonic() + PAUSE_AFTER_FAILURE
            log.warning("requests are not counted: the cache does not answer (%s)", type(error).__name__)
            return True

    def get_rate(self) -> str | None:
        """Read late, so that tests may set it."""
        rates: Mapping[str, Any] = api_settings.DEFAULT_THROTTLE_RATES
        rate: str | None = rates.get(self.scope or "")
        return rate

    def get_ident(self, request: Request) -> str:
        """The address as everywhere else here."""
        return address_of(request)
