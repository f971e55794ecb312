"""The HTTP face: commands and questions, problems, tokens, pages, health, operators."""
