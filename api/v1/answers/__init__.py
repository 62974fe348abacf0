"""What the operations answer, as strict models: the answer is made as its model, and the description of the interface
(``/openapi.json``) is made from the same."""
