"""The workloads and the raw comparator: how much the house costs, measured beside a server written by hand."""
