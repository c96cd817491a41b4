"""The APIs: what runs a promoted bundle for users. No torch."""

APIS = {"music": ("music",), "faces": ("faces",), "digits": ("digits", "scratch"), "images": ("images", "portraits")}
"""Each API, and the labs whose bundles it serves: its own first, then those whose bundles have the same runtime."""
