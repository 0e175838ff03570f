"""The HTTP service: one ticket, the cascade step by step, many tickets as a stream, and two pages; for this machine only."""

from workshop_lib.service.app import create_app
from workshop_lib.service.bulk_rows import BulkRoute, library_route
from workshop_lib.service.limits import Limits
from workshop_lib.service.serving import running, serve

__all__ = ["BulkRoute", "Limits", "create_app", "library_route", "running", "serve"]
