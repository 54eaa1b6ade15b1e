"""The Nitrokey 3: the key, put together from its applications, and its twin."""
