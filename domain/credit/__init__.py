"""Credit: what a subject is held to have done, told before it counts, open to objection, repaired in the end."""
