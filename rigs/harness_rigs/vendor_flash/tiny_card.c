/* A tiny firmware: the small card of docs/small_card.py (one PIN with three tries, one file) on keyharness_flash.
 *
 *     cc -std=c11 -o tiny_card tiny_card.c keyharness_flash.c
 *     tiny_card PORT [ORDER]
 *
 * It dials a virtual reader (vpcd) at 127.0.0.1:PORT and keeps everything in one record, which it writes to two pages
 * in turn. ORDER is the order of its writes: "right", or one of four that lose something:
 *     guess-first    the PIN is compared before its try is counted
 *     in-place       one page only: erased, then written again
 *     marker-first   the record is marked as valid before its content is there, and its checksum is not looked at
 *     answer-first   it answers before it writes
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "keyharness_flash.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SELECT = 0xA4, VERIFY = 0x20, CHANGE = 0x24, READ = 0xB0, UPDATE = 0xD6 };
enum { PIN_LENGTH = 8, TRIES = 3, FILE_ROOM = 240, VALID = 0x4B4859A5 };

static const uint8_t AID[] = {0xF0, 0x4B, 0x48, 0x01};
static const uint8_t ATR[] = {0x3B, 0x80, 0x80, 0x01, 0x01};

struct record {
    uint32_t sequence;
    uint8_t pin[PIN_LENGTH];
    uint32_t tries;
    uint32_t length;
    uint8_t file[FILE_ROOM];
    uint32_t checksum;
    uint32_t valid;
};

static struct keyharness_flash_geometry flash;
static struct record state;
static uint32_t page;
static const char *order = "right";
static int reader;

static int is(const char *name) { return strcmp(order, name) == 0; }

static void stop(const char *why, int code)
{
    fprintf(stderr, "tiny_card: %s: %d\n", why, code);
    exit(1);
}

static uint32_t checksum(const struct record *one)
{
    const uint8_t *at = (const uint8_t *)one;
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < offsetof(struct record, checksum); i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

static void must(const char *what, int code)
{
    if (code != 0)
        stop(what, code);
}

static void program(uint32_t into, const void *data, size_t from, size_t until)
{
    must("program", keyharness_flash_program(into * flash.page_size + (uint32_t)from, (const uint8_t *)data + from,
                                             (uint32_t)(until - from)));
}

static void save(void)
{
    size_t marker = offsetof(struct record, valid);
    state.sequence++;
    state.checksum = checksum(&state);
    state.valid = VALID;
    uint32_t into = is("in-place") ? page : 1 - page;
    must("erase", keyharness_flash_erase(into * flash.page_size, flash.page_size));
    if (is("marker-first")) {
        program(into, &state, marker, sizeof state);
        program(into, &state, 0, sizeof state.sequence);
        program(into, &state, sizeof state.sequence, marker);
    } else {
        program(into, &state, 0, marker);
        program(into, &state, marker, sizeof state);
    }
    page = into;
}

static int is_whole(const struct record *one)
{
    return one->valid == VALID && (is("marker-first") || one->checksum == checksum(one));
}

static void load(void)
{
    struct record found[2];
    int newest = -1;
    for (uint32_t i = 0; i < 2; i++) {
        must("read", keyharness_flash_read(i * flash.page_size, &found[i], sizeof found[i]));
        if (is_whole(&found[i]) && (newest < 0 || found[i].sequence > found[newest].sequence))
            newest = (int)i;
    }
    if (newest >= 0) {
        page = (uint32_t)newest;
        state = found[newest];
        return;
    }
    memset(&state, 0, sizeof state);
    memcpy(state.pin, "12345678", PIN_LENGTH);
    state.tries = TRIES;
    state.length = 18;
    memcpy(state.file, "keyharness canary ", state.length);
    page = 1;
    save();
}

static void transmit(const uint8_t *data, size_t length)
{
    uint8_t head[2] = {(uint8_t)(length >> 8), (uint8_t)length};
    if (write(reader, head, 2) != 2 || write(reader, data, length) != (ssize_t)length)
        exit(0);
}

static void answer(const uint8_t *data, size_t length, uint16_t status)
{
    uint8_t whole[FILE_ROOM + 2];
    memcpy(whole, data, length);
    whole[length] = (uint8_t)(status >> 8);
    whole[length + 1] = (uint8_t)status;
    transmit(whole, length + 2);
}

static void receive(uint8_t *data, size_t length)
{
    while (length > 0) {
        ssize_t got = read(reader, data, length);
        if (got <= 0)
            exit(0);
        data += got;
        length -= (size_t)got;
    }
}

static uint16_t verify(const uint8_t *pin)
{
    int right = memcmp(pin, state.pin, PIN_LENGTH) == 0;
    if (state.tries == 0)
        return 0x6983;
    if (is("guess-first") && right)
        return 0x9000;
    state.tries--;
    save();
    if (!right)
        return 0x63C0 + (uint16_t)state.tries;
    state.tries = TRIES;
    save();
    return 0x9000;
}

static void obey(const uint8_t *apdu, size_t length)
{
    static int selected;
    const uint8_t *data = apdu + 5;
    size_t count = length > 5 ? apdu[4] : 0;
    if (length < 4 || count + 5 > (length < 5 ? 5 : length)) {
        answer(NULL, 0, 0x6700);
    } else if (apdu[1] == SELECT) {
        selected = count == sizeof AID && memcmp(data, AID, sizeof AID) == 0;
        answer(NULL, 0, selected ? 0x9000 : 0x6A82);
    } else if (!selected) {
        answer(NULL, 0, 0x6D00);
    } else if (apdu[1] == READ) {
        answer(state.file, state.length, 0x9000);
    } else if (apdu[1] == UPDATE && count <= FILE_ROOM) {
        memcpy(state.file, data, count);
        state.length = (uint32_t)count;
        if (is("answer-first"))
            answer(NULL, 0, 0x9000);
        save();
        if (!is("answer-first"))
            answer(NULL, 0, 0x9000);
    } else if (apdu[1] == VERIFY && count == 0) {
        answer(NULL, 0, 0x63C0 + (uint16_t)state.tries);
    } else if (apdu[1] == VERIFY && count == PIN_LENGTH) {
        answer(NULL, 0, verify(data));
    } else if (apdu[1] == CHANGE && count == 2 * PIN_LENGTH) {
        uint16_t status = verify(data);
        if (status == 0x9000) {
            memcpy(state.pin, data + PIN_LENGTH, PIN_LENGTH);
            save();
        }
        answer(NULL, 0, status);
    } else {
        answer(NULL, 0, 0x6D00);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    uint8_t head[2], message[65536];
    if (argc < 2)
        stop("usage: tiny_card PORT [ORDER]", argc);
    if (argc > 2)
        order = argv[2];
    must("flash", keyharness_flash_open(&flash));
    load();
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    reader = socket(AF_INET, SOCK_STREAM, 0);
    if (reader < 0 || connect(reader, (struct sockaddr *)&address, sizeof address) != 0)
        stop("no reader on this port", atoi(argv[1]));
    for (;;) {
        receive(head, 2);
        size_t length = (size_t)head[0] << 8 | head[1];
        receive(message, length);
        /* vpcd: one byte is power off (0), power on (1), reset (2) or a question for the ATR (4). */
        if (length > 1)
            obey(message, length);
        else if (length == 1 && message[0] == 4)
            transmit(ATR, sizeof ATR);
    }
}
