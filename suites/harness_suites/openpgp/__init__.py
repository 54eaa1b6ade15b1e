"""Does the card answer as the OpenPGP card specification 3.4 says, and as its clients expect?"""
