"""Lists as docker prints them: API JSON in, exact text out; default tables, ``--format`` templates, JSON lines."""
