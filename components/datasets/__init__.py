"""What several labs share because they learn from the same data; a lab names what it uses in `Lab.shared`."""
