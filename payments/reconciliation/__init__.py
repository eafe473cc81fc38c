"""Reconciliation of a day: provider's bill × our books × company's posting file. Every difference becomes an item with an owner."""
