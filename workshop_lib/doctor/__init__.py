"""What `workshop doctor` looks at: one check, one line, one remedy."""

from workshop_lib.doctor.check import Check
from workshop_lib.doctor.here import checks

__all__ = ["Check", "checks"]
