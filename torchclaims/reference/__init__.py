"""What layers compute, in float64 NumPy, written from the documented formula, never by calling torch.

Arrays are float64 throughout; batched inputs are (N, C, *spatial). Functions named ``*_backward`` return the
gradients of a scalar loss with respect to their inputs, given its gradient with respect to the output.
"""
