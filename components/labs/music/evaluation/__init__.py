"""Evaluation of a music bundle: each module measures one side of it, `report` shows them all."""
