"""What companies' systems call, signed with their own keys (docs/company-gateway.md §9)."""
