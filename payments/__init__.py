"""Payments: one act of paying through one provider. Knows amounts and payees, never bills."""
