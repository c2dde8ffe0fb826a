"""Cells to samples: one worker process per sample, each sample on disk before the next starts."""
