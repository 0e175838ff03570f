"""One sandbox for a class: every learner has quotas, faults and a ledger of their own, and one board shows who passed which exercise."""
