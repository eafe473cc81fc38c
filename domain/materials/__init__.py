"""Materials: papers that people show once, what of them a case needs, and what may be handed in later."""
