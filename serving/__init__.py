"""The APIs: what runs a promoted bundle for users. No torch."""
