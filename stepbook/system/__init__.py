"""What differs between machines: the disk, locks, signals, who this process is."""
