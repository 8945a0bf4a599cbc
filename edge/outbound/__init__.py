"""Requests that a caller makes this edge send to the outside."""

from edge.outbound.addresses import is_public
from edge.outbound.client import Fetched, OutboundClient
from edge.outbound.errors import OutboundError

__all__ = ["Fetched", "OutboundClient", "OutboundError", "is_public"]
