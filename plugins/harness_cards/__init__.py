"""What applications of cards share: objects, curves, RSA, the files of a simulated card, its model, its operations."""
