"""The device side of FIDO2: CTAPHID, CTAP1 and CTAP2 on simulated flash."""
