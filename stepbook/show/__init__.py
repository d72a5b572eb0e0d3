"""Rows in, text or HTML out."""
