"""The Nitrokey HSM 2: a key with one application, SmartCard-HSM, and its twin."""
