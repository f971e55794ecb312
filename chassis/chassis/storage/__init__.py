"""The event store on PostgreSQL: windows, the append, snapshots, and the ways to the database."""
