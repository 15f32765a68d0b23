"""Answer a controller: hold the conversation, follow a log, collect facts and health, clean."""
