"""The HTTP routes of the Engine API, one module per object family; nothing else in the engine knows HTTP."""
