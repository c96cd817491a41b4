"""Handwritten digits: MNIST (profile course) or scikit-learn's digits (starter), for every lab that reads digits."""
