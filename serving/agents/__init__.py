"""The agents API: actions for observations, and episodes that are played on the server."""
