"""May a firmware be shipped: a plan, the runs that count for it, the verdict to sign, and its export."""
