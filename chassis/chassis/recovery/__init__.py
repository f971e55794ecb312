"""Store and topics against each other: compared, and the store brought back from the topics."""
