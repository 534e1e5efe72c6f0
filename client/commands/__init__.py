"""The commands, grouped as people look for them: submitting, looking at jobs, changing them, the queue, the doctor."""
