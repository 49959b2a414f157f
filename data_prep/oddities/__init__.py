"""A cohort's scans against one another: what is odd is told and kept in the store, what cannot be right is refused."""
