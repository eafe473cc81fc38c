"""The parts of the table of routes, one file per area; :mod:`api.routes` puts them together."""
