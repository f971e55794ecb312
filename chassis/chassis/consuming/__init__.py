"""Facts in: records of topics, taken once and in order, parked where they fail; deadlines."""
