"""Many items: bounded concurrency, rows as they finish, an error row for what fails, tickets for load tests."""

from workshop_lib.bulk.ndjson import line, rows, triage
from workshop_lib.bulk.runner import Done, run

__all__ = ["Done", "line", "rows", "run", "triage"]
