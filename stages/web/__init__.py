"""One polite HTTP client: robots.txt, a pause for each host, retries, limits of time and size."""
