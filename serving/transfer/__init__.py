"""The transfer API: what a photograph shows, and models of a visitor's own categories."""
