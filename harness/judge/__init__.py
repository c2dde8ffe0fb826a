"""Runs and rules to verdicts: a pure function of stored records. No model, clock or network."""
