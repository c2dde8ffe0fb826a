"""Claims to the fewest cells that settle them, and what those cells will cost."""
