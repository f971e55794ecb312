"""The story that `prm demo` plays on a running platform, through its public APIs only."""
