"""The card side of a simulated SmartCard-HSM."""
