"""Words that everybody uses: rows, durations, failures. Pure."""
