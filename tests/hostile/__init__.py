"""Books that somebody has made to do harm, and a process that opens each of them.

``python -m tests.hostile DIR`` writes all of them.
"""
