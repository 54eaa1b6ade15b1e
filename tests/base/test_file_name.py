"""Names of state files: those that earlier versions wrote are still found."""

from __future__ import annotations

from harness.base.file_name import file_name


def test_the_names_that_earlier_versions_gave():
    assert file_name("port usb:1-1.4.1", ".json") == "port-usb-1-1.4.1.13a59ed5.json"
    assert file_name("port usb:1-1.4.1", ".lock", keep="start") == "port-usb-1-1.4.1.13a59ed5.lock"
    wiring = "usb 1-1.4.1; power lcus, lcus /dev/serial/by-id/usb-1a86_USB_Serial-if00-port0 channel 1"
    assert file_name(wiring, ".json", keep="start") == (
        "usb-1-1.4.1-power-lcus-lcus-dev-serial-by-id-usb-1a86_USB_Se.c6ac240c.json"
    )
    assert file_name(wiring, ".json") == (
        "us-dev-serial-by-id-usb-1a86_USB_Serial-if00-port0-channel-1.c6ac240c.json"
    )
    assert file_name("20261120-093012-7c1e", ".json", unique="/reports/20261120-093012-7c1e") == (
        "20261120-093012-7c1e.113ae197.json"
    )


def test_names_that_read_alike_are_told_apart():
    assert file_name("port a b", "") != file_name("port a/b", "")
