/* The flash of a firmware that runs as a process, given by Keyharness.
 *
 * Link keyharness_flash.c into a PC build or a unit test in place of its RAM or file flash. The geometry, the erased
 * value and what a power cut leaves come from the table [rig.flash] of the bench; docs/vendor-flash.md shows one.
 * C11, POSIX, no dependency. All functions may be called from one thread at a time. The ABI is plain C: from Rust,
 * declare the four functions in an extern "C" block.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef KEYHARNESS_FLASH_H
#define KEYHARNESS_FLASH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct keyharness_flash_geometry {
    uint32_t page_size;   /* bytes that one erase sets */
    uint32_t pages;
    uint32_t word_size;   /* bytes that are programmed as one */
    uint32_t erase_value; /* 0xFF or 0x00: what an erased byte reads */
};

/* Open the flash that the environment variable KEYHARNESS_FLASH names. Call it before all others;
 * called again it only tells the geometry. One process at a time can have the flash open. Returns 0, or a negative errno:
 * -ENOENT without the variable, -EPROTO if it is open elsewhere or something else listens there. */
int keyharness_flash_open(struct keyharness_flash_geometry *geometry);

/* Copy length bytes from offset. Returns 0; -EINVAL outside the flash; -ENODEV before open. */
int keyharness_flash_read(uint32_t offset, void *data, uint32_t length);

/* Program whole words: a bit can only leave its erased value. Returns when the words are in the flash.
 * Returns 0; -EINVAL outside the flash or for less than whole words; -EIO if the flash has gone. */
int keyharness_flash_program(uint32_t offset, const void *data, uint32_t length);

/* Erase whole pages. Returns as keyharness_flash_program. */
int keyharness_flash_erase(uint32_t offset, uint32_t length);

#ifdef __cplusplus
}
#endif

#endif
