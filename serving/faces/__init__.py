"""What the faces API does between its routes and the model: looking at photographs, telling of the audit."""
