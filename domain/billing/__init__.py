"""Utility accounts, bills, quotes, and telling the companies that bills have been paid."""
