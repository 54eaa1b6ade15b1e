/* hidapi as far as libnitrokey calls it, for one device behind a twin's --feature-tcp port.

   $HIDAPI_STUB_PORT is the port, $KEYHARNESS_FEATURE_PRODUCT the product id in hex. Frames: length of two bytes,
   big-endian, then the data; an empty frame asks for a report. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wchar.h>

struct hid_device_info {
    char *path;
    unsigned short vendor_id;
    unsigned short product_id;
    wchar_t *serial_number;
    unsigned short release_number;
    wchar_t *manufacturer_string;
    wchar_t *product_string;
    unsigned short usage_page;
    unsigned short usage;
    int interface_number;
    struct hid_device_info *next;
    int bus_type;
};

struct hid_device {
    int fd;
};

enum { VENDOR = 0x20a0, REPORT = 64 };

static unsigned short product(void)
{
    const char *text = getenv("KEYHARNESS_FEATURE_PRODUCT");
    return text ? (unsigned short)strtoul(text, 0, 16) : 0x4108;
}

static int all(int fd, unsigned char *data, size_t size, int is_read)
{
    while (size) {
        ssize_t done = is_read ? read(fd, data, size) : write(fd, data, size);
        if (done <= 0)
            return -1;
        data += done;
        size -= (size_t)done;
    }
    return 0;
}

struct hid_device_info *hid_enumerate(unsigned short vendor, unsigned short wanted)
{
    struct hid_device_info *one;
    if ((vendor && vendor != VENDOR) || (wanted && wanted != product()))
        return 0;
    one = calloc(1, sizeof *one);
    one->path = strdup("twin");
    one->vendor_id = VENDOR;
    one->product_id = product();
    one->serial_number = wcsdup(L"");
    one->manufacturer_string = wcsdup(L"Nitrokey");
    one->product_string = wcsdup(L"Nitrokey Pro");
    return one;
}

void hid_free_enumeration(struct hid_device_info *one)
{
    if (!one)
        return;
    free(one->path);
    free(one->serial_number);
    free(one->manufacturer_string);
    free(one->product_string);
    free(one);
}

struct hid_device *hid_open_path(const char *path)
{
    struct sockaddr_in there = {.sin_family = AF_INET};
    const char *port = getenv("HIDAPI_STUB_PORT");
    struct hid_device *device;
    int fd, on = 1;
    (void)path;
    if (!port || (fd = socket(AF_INET, SOCK_STREAM, 0)) < 0)
        return 0;
    there.sin_port = htons((unsigned short)atoi(port));
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&there, sizeof there)) {
        close(fd);
        return 0;
    }
    device = calloc(1, sizeof *device);
    device->fd = fd;
    return device;
}

struct hid_device *hid_open(unsigned short vendor, unsigned short wanted, const wchar_t *serial)
{
    (void)serial;
    return vendor == VENDOR && wanted == product() ? hid_open_path("twin") : 0;
}

int hid_send_feature_report(struct hid_device *device, const unsigned char *data, size_t length)
{
    unsigned char frame[2 + REPORT] = {0, REPORT};
    if (length != 1 + REPORT || data[0])
        return -1;
    memcpy(frame + 2, data + 1, REPORT);
    return all(device->fd, frame, sizeof frame, 0) ? -1 : (int)length;
}

int hid_get_feature_report(struct hid_device *device, unsigned char *data, size_t length)
{
    unsigned char frame[2 + REPORT] = {0, 0};
    if (length != 1 + REPORT || all(device->fd, frame, 2, 0) || all(device->fd, frame, sizeof frame, 1))
        return -1;
    data[0] = 0;
    memcpy(data + 1, frame + 2, REPORT);
    return (int)length;
}

const wchar_t *hid_error(struct hid_device *device)
{
    (void)device;
    return L"the twin does not answer";
}

void hid_close(struct hid_device *device)
{
    if (device) {
        close(device->fd);
        free(device);
    }
}

int hid_init(void)
{
    return 0;
}

int hid_exit(void)
{
    return 0;
}
