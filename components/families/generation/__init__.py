"""What labs that make pictures share: a variational autoencoder, a GAN, and what judges the pictures they make."""
