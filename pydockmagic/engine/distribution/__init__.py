"""The client of registries: pull, push, search and login; it stores nothing itself, and no other room speaks to one."""
