"""One module per kind of event: from an event and the rows before it to the rows after it."""
