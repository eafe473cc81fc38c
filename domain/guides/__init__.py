"""The public guide (办事指南): made from the rules that run the cases, so that the two cannot differ."""
