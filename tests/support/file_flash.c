/* The functions of keyharness_flash.h on a file, as a PC build of a firmware has them: by pwrite, or in a map that is
 * synced after each operation (compile with -DMAPPED), in two pages of 4 KiB or
 * as -DFLASH_PAGE and -DFLASH_PAGES say. Nothing of it knows Keyharness. */
#define _POSIX_C_SOURCE 200809L
#include "keyharness_flash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef FLASH_PAGE
#define FLASH_PAGE 4096
#define FLASH_PAGES 2
#endif
enum { PAGE = FLASH_PAGE, PAGES = FLASH_PAGES };
static int file;
static uint8_t *map;

int keyharness_flash_open(struct keyharness_flash_geometry *geometry)
{
    uint8_t blank[PAGE];
    *geometry = (struct keyharness_flash_geometry){PAGE, PAGES, 4, 0xFF};
    file = open("flash.bin", O_RDWR | O_CREAT, 0600);
    memset(blank, 0xFF, sizeof blank);
    for (off_t end = lseek(file, 0, SEEK_END); end < PAGE * PAGES; end += PAGE)
        if (pwrite(file, blank, PAGE, end) != PAGE)
            return -errno;
#ifdef MAPPED
    map = mmap(NULL, PAGE * PAGES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map == MAP_FAILED)
        return -errno;
#endif
    return 0;
}

int keyharness_flash_read(uint32_t offset, void *data, uint32_t length)
{
    return pread(file, data, length, offset) == (ssize_t)length ? 0 : -EIO;
}

static int put(uint32_t offset, const uint8_t *data, uint32_t length)
{
    if (map != NULL) {
        memcpy(map + offset, data, length);
        return msync(map, PAGE * PAGES, MS_SYNC) == 0 ? 0 : -errno;
    }
    return pwrite(file, data, length, offset) == (ssize_t)length ? 0 : -errno;
}

int keyharness_flash_program(uint32_t offset, const void *data, uint32_t length)
{
    uint8_t there[PAGE];
    const uint8_t *from = data;
    if (keyharness_flash_read(offset, there, length) != 0)
        return -EIO;
    for (uint32_t i = 0; i < length; i++)
        there[i] &= from[i];
    return put(offset, there, length);
}

int keyharness_flash_erase(uint32_t offset, uint32_t length)
{
    uint8_t blank[PAGE];
    memset(blank, 0xFF, sizeof blank);
    return put(offset, blank, length);
}
