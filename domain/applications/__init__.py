"""Applications: drafts, filing, withdrawing, what became of them, and progress without a login."""
