"""The live timeline of a run; ``import stepbook.timeline`` loads neither anywidget nor IPython."""
