"""Send messages to people: chats, mail and web hooks."""
