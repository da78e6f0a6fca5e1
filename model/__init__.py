"""The network, its losses and its training. Needs neither Ray nor MLflow."""
