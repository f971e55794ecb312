"""Facts out: the relay from the store to the topics, and the topics themselves."""
