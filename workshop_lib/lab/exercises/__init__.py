"""The exercises of the labs: one module `exNN` a lab, each with `EXERCISES`."""
