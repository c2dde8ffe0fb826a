"""Tells whether what a comparison page claims about an on-device model is true."""

__version__ = "0.1.0"
