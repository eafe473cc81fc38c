"""The front door: the command line, and the only place that composes everything."""
