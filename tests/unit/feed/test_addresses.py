"""Where webhooks may go."""

import asyncio
from ipaddress import ip_address

import httpx2
import pytest

from mdm.errors import InputError
from mdm.feed.addresses import AddressRefusedError, check_url, is_allowed, resolve
from mdm.settings import Settings

PUBLIC = Settings(store="none.db")
OFFICE = Settings(store="none.db", webhook_networks="10.1.0.0/16, 127.0.0.1,fd00::/8")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "ff0e::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address):
    assert not is_allowed(ip_address(address), PUBLIC, encrypted=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "203.162.4.190", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_gone_to_by_https_only(address):
    assert is_allowed(ip_address(address), PUBLIC, encrypted=True)
    assert not is_allowed(ip_address(address), PUBLIC, encrypted=False)


def test_networks_of_the_settings_are_gone_to_also_by_http():
    for address in ("10.1.2.3", "127.0.0.1", "fd00::5", "::ffff:10.1.2.3"):
        assert is_allowed(ip_address(address), OFFICE, encrypted=False)
    for address in ("10.2.0.1", "127.0.0.2", "::1"):
        assert not is_allowed(ip_address(address), OFFICE, encrypted=True)


@pytest.mark.parametrize(
    "url",
    [
        "", "receiver", "/hook", "ftp://a.example/", "http://a.example/", "https://", "https://u:p@a.example/",
        "https://a.example/#x", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest",
        "https://[::ffff:10.0.0.1]/", "https://a.example/" + "x" * 2000, "https://a.example:99999/", "https://a b/",
    ],
)  # fmt: skip
def test_urls_that_no_message_could_go_to_are_refused(url):
    with pytest.raises(InputError):
        check_url(url, PUBLIC)


def test_other_urls_are_taken():
    check_url("https://receiver.example:8443/hook?token=1", PUBLIC)
    check_url("http://127.0.0.1:9000/hook", OFFICE)
    check_url("http://receiver.internal/", OFFICE)


def test_a_name_is_judged_by_its_addresses():
    url = httpx2.URL("https://localhost/")
    with pytest.raises(AddressRefusedError):
        asyncio.run(resolve(url, PUBLIC))
    assert [str(found) for found in asyncio.run(resolve(url, OFFICE))] == ["127.0.0.1"]
