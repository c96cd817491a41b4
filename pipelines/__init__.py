"""Kubeflow: the steps as tasks, one pipeline over any lab. Wiring only: what is done is in `components`."""
