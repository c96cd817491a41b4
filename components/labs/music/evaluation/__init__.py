"""How good a music bundle is: each module measures one side of it, `report` shows them all."""
