"""Judge the adapter against its base, with intervals, and show it in one page."""
