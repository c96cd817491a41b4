"""The labs, the steps that take any lab to production, and what the steps share."""
