"""Service orders: what companies and applicants do with them, one method per verb; the same rows whichever door it comes through."""
