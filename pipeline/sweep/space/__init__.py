"""The search space of a sweep: axes, checks before the first job, the prepared spaces of conf/sweep."""
