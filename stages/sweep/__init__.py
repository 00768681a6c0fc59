"""Many settings of one project, each in a copy of its own that shares DVC's cache."""
