"""Scale-out: an input in parts, each routed by the embedded engine on whichever worker takes it, within one shared quota.

`parts` divides the input, `manifest` remembers which parts are done, `ledger` shares quota and budgets out, `leased` and `worker` keep to
them on a worker, and `cluster` is the only module that knows Ray.
"""
