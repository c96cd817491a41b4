"""What the music API does between its routes and the model: batching, checking, playing."""
