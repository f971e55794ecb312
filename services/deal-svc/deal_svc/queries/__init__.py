"""One function a question: SQL in; the view models of the documents that it answers."""
