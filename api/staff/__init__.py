"""The doors of staff: a token audience of their own, and nothing open that its row does not open."""
