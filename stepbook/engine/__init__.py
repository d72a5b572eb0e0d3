"""Replay or execute: what one step of a run does."""
