"""The search: the only room that imports Ray, and MLflow in one file."""
