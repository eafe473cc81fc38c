"""Login: who somebody is, how sure we are, and the sessions he has open."""
