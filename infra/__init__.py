"""Where the labs run: container images, Kubernetes, and a stack of servers on one machine."""
