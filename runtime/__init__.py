"""What is alive in this process: settings, the one place objects are made, start-up, install."""
