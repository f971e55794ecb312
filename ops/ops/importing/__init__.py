"""The initial load: rows of a file become commands, with the time at which each was true."""
