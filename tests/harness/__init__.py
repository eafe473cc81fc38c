"""The plugins of the test run; fixtures are named in the docstring of each module."""
