/* See keyharness_flash.h. The protocol is described in docs/vendor-flash.md.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "keyharness_flash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { PROGRAM = 1, ERASE = 2 };

static int link_fd = -1;
static const uint8_t *content;
static struct keyharness_flash_geometry flash;

static int whole_write(const void *data, size_t length)
{
    const uint8_t *at = data;
    while (length > 0) {
        ssize_t done = send(link_fd, at, length, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return -EIO;
        at += done;
        length -= (size_t)done;
    }
    return 0;
}

static int whole_read(void *data, size_t length)
{
    uint8_t *at = data;
    while (length > 0) {
        ssize_t done = read(link_fd, at, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return -EIO;
        at += done;
        length -= (size_t)done;
    }
    return 0;
}

static uint32_t little(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void put_little(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

/* The first message: the geometry, and with it the descriptor of the file that holds the flash. */
static int take_head(uint8_t head[20])
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {.iov_base = head, .iov_len = 20};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    ssize_t got;
    do
        got = recvmsg(link_fd, &message, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    struct cmsghdr *passed = got == 20 ? CMSG_FIRSTHDR(&message) : NULL;
    if (passed == NULL || passed->cmsg_type != SCM_RIGHTS || memcmp(head, "KHF1", 4) != 0)
        return -EPROTO;
    int fd;
    memcpy(&fd, CMSG_DATA(passed), sizeof fd);
    return fd;
}

int keyharness_flash_open(struct keyharness_flash_geometry *geometry)
{
    const char *path = getenv("KEYHARNESS_FLASH");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint8_t head[20];
    if (content != NULL) {
        if (geometry != NULL)
            *geometry = flash;
        return 0;
    }
    if (path == NULL)
        return -ENOENT;
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    link_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (link_fd < 0 || connect(link_fd, (struct sockaddr *)&address, sizeof address) != 0)
        return -errno;
    int fd = take_head(head);
    if (fd < 0)
        return fd;
    flash = (struct keyharness_flash_geometry){little(head + 4), little(head + 8), little(head + 12), little(head + 16)};
    void *map = mmap(NULL, (size_t)flash.page_size * flash.pages, PROT_READ, MAP_SHARED, fd, 0);
    int error = errno;
    close(fd);
    if (map == MAP_FAILED)
        return -error;
    content = map;
    if (geometry != NULL)
        *geometry = flash;
    return 0;
}

static int outside(uint32_t offset, uint32_t length)
{
    return (uint64_t)offset + length > (uint64_t)flash.page_size * flash.pages;
}

int keyharness_flash_read(uint32_t offset, void *data, uint32_t length)
{
    if (content == NULL)
        return -ENODEV;
    if (outside(offset, length))
        return -EINVAL;
    memcpy(data, content + offset, length);
    return 0;
}

static int request(uint32_t what, uint32_t offset, uint32_t length, const void *data)
{
    uint8_t head[12], answer[4];
    put_little(head, what);
    put_little(head + 4, offset);
    put_little(head + 8, length);
    if (whole_write(head, sizeof head) != 0 || (data != NULL && whole_write(data, length) != 0))
        return -EIO;
    if (whole_read(answer, sizeof answer) != 0)
        return -EIO;
    return -(int)little(answer);
}

int keyharness_flash_program(uint32_t offset, const void *data, uint32_t length)
{
    if (content == NULL)
        return -ENODEV;
    if (outside(offset, length) || data == NULL || length == 0)
        return -EINVAL;
    return request(PROGRAM, offset, length, data);
}

int keyharness_flash_erase(uint32_t offset, uint32_t length)
{
    if (content == NULL)
        return -ENODEV;
    if (outside(offset, length) || length == 0)
        return -EINVAL;
    return request(ERASE, offset, length, NULL);
}
