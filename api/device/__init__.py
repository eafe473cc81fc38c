"""The HTTP edge for devices that read ID cards: kiosks and the readers of counters, which sign their calls."""
