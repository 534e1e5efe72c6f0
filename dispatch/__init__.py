"""From the line to the machine: claim, run, finish, recover. Knows the store's contract and its own ports."""
