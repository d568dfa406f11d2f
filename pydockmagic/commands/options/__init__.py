"""The option values of ``run``, ``create``, ``exec`` and ``build``: text into pieces of API requests."""
