"""Compares motc with other ways to run the same models on the same machine.

Shapes: B sequences of S tokens, T = B * S rows, K modalities with t rows each, D width, H heads of
W = D / H, F hidden width of a feed-forward network, V ids in the joint vocabulary.
"""
