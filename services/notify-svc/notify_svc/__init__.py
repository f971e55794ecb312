"""notify-svc: what people are told, because of which fact."""
