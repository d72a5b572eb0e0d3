"""Notebooks: the hooks that tell runs which cell is executing. The only part that knows IPython."""
