"""What is on the disk: journals, tables, deliveries, artifacts."""
