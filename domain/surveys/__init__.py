"""The joint survey (一体踏勘): one visit of all companies, each of which signs its own part."""
