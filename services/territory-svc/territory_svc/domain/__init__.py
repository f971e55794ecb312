"""What territory-svc decides: one module an aggregate, and the engines beside them."""
