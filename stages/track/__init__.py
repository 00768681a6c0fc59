"""Write what the stages left as files into MLflow, one run for each distinct result."""
