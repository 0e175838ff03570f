"""Many items: bounded concurrency, rows as they finish, an error row for what fails, tickets for load tests."""

from workshop_lib.bulk.ndjson import line, rows, triage
from workshop_lib.bulk.runner import Done, arun, run

__all__ = ["Done", "arun", "line", "rows", "run", "triage"]
