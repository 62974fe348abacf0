"""The answers of the operations, as strict models. The routes build their answers as these models, and the
description of the interface (``/openapi.json``) is generated from them."""
