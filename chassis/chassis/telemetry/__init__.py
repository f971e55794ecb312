"""What others see of a process: its metrics, the traces that pass through it, its log lines."""
