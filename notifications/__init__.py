"""Message intents, their delivery by channel, subscription credits, receipts. Knows kinds of messages, never their subjects."""
