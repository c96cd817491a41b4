"""What labs that generate pictures share: a variational autoencoder, a GAN, and the evaluation of their pictures."""
