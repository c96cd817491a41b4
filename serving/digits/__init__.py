"""What the digits API does between its routes and the model: making a drawing look as MNIST's do."""
