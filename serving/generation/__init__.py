"""What the images API does between its routes and the model: pictures of a seed as one PNG."""
