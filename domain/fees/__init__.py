"""What a connection costs: who bears it outside the red line, and what may be charged inside, by the city's published list only."""
