"""verdicts -> pages with their evidence, readable from any folder without a server or a script."""
