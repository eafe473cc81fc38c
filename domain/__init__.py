"""The business. Rows from above: billing; identity and companies. Siblings meet by events only."""
