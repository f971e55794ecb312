"""The mail server of a platform on this machine: it keeps all that it is sent, delivers nothing."""
