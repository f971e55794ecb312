"""Out into the world: a notification as an e-mail, from its words to the mail server."""
