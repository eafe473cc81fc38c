"""The deadline clock: how long a promise runs, what stops it, who is warned before it ends."""
