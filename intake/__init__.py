"""May this job enter, and where in the line: use cases, validation, admission. No I/O of its own."""
