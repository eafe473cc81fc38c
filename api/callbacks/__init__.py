"""Inbound notices: verify, store in the inbox, acknowledge; a job works on them afterwards."""
