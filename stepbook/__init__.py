"""Named, recorded, replayable steps for notebooks and scripts."""
