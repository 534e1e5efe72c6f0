"""The vocabulary everything shares. Standard library only; nothing here does I/O."""
