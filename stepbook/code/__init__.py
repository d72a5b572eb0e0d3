"""What code is, apart from how it is written: fingerprints, and what makes two of them differ."""
