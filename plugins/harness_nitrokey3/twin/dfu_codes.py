"""The requests of Nordic's secure DFU and the codes of its answers (nRF5 SDK 17, nrf_dfu_req_handler.h)."""

from __future__ import annotations

CREATE, SET_PRN, CRC, EXECUTE, READ_ERROR, SELECT, GET_MTU, WRITE, PING = range(1, 10)
HARDWARE, FIRMWARE = 0x0A, 0x0B
RESPONSE = 0x60
COMMAND_OBJECT, DATA_OBJECT = 1, 2

OK, NOT_SUPPORTED, BAD_PARAMETER, NO_RESOURCES, BAD_OBJECT = 1, 2, 3, 4, 5
BAD_SIGNATURE, BAD_TYPE, NOT_PERMITTED, FAILED, EXTENDED = 6, 7, 8, 10, 11

WRONG_INIT, VERSION_TOO_LOW, WRONG_HARDWARE, WRONG_SOFTDEVICE, UNSIGNED = 4, 5, 6, 7, 8
WRONG_HASH_TYPE, WRONG_SIGNATURE_TYPE, WRONG_HASH, NO_SPACE = 9, 11, 12, 13


class ResponseError(Exception):
    """A request that is answered with something else than OK."""

    def __init__(self, result: int, extended: int = 0):
        super().__init__(f"{result:02x} {extended:02x}")
        self.result, self.extended = result, extended
