"""Who hears what happened: the bus and the mailbox. Importing starts nothing."""
