"""Take out of a line what says who somebody is: names of hosts and users, addresses, serial numbers, sites, PINs.

The same text becomes the same mark in one reading, so that a key can be followed without being named.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import partial

from harness.field.stamps import read_stamp

_HEX2 = r"[0-9A-Fa-f]{2}"
_HEX = "\x01"
"""Any hexadecimal digit, in the words below."""
_DIGITS = str.maketrans(dict.fromkeys("0123456789abcdef", _HEX))
_OF_KERNEL = (
    r"(?:usb|hub|usbhid|hid\S*|cdc_\w+|xhci\S*|ehci\S*|[ou]hci\S*|dwc\S*|input|pci\S*|kernel|pcscd|vhci_hcd|usbip\S*"
    r"|(?:kern|daemon|user|auth|authpriv|syslog|local\d)\.\w+|usb-storage|usbcore|usbguard-daemon|scsi|sd|DBG|debug\d|error|warning|info)"
)
"""First words of lines that have no host."""
_PATTERNS = (
    (
        "pin",
        ("pin", "puk", "pass", "-pw"),
        re.compile(
            r"(?i)(?<!\S)--?(?:so-|user-|admin-|new-|old-)?(?:pin|puk|password|passphrase|pw)(?:[ =]+)([^\s'\"-]\S*)"
        ),
    ),
    # VERIFY, CHANGE REFERENCE DATA and RESET RETRY COUNTER carry PINs.
    (
        "pin",
        ("00 2", "00:2", "002"),
        re.compile(
            rf"\b00[ :]?2[04Cc][ :]?0[0-2][ :]?[0189][0-9A-Fa-f][ :]?{_HEX2}[ :]?((?:{_HEX2}[ :]?){{3,}}{_HEX2})"
        ),
    ),
    (
        "mail",
        ("@",),
        re.compile(
            r"(?<![\w.+-])[\w.+-]{1,64}@(?!openssh\.com\b|libssh\.org\b|[0-9a-f]{6,8}\b)[\w-]+(?:\.[\w-]+)*"
        ),
    ),
    (
        "user",
        ("home/", "users", "media/", "s-1-5"),
        re.compile(
            r"(?<=/home/)[^/\s'\"]+|(?<=/Users/)[^/\s'\"]+|(?<=/media/)(?!usb|cdrom)[^/\s'\"]+(?=/)"
            r"|(?i:(?<=\\Users\\)[^\\\s'\"]+|(?<=\\Users\\\\)[^\\\s'\"]+)|\bS-1-5-21(?:-\d+)+"
        ),
    ),
    (
        "user",
        (
            "cardholder",
            "login data",
            "url of",
            "general key",
            "pkcs#15 card [",
            'name"',
            'handle"',
            "as '",
            "of user ",
        ),
        re.compile(
            r"(?<=PKCS#15 Card \[)([^\]]+)"
            r"|(?:Name of cardholder|Login data|URL of public key|General key info)[ .…]*: *(?!\[)(\S.*)"
            r"|\"(?:displayName|userName|user_name|userHandle)\": ?\"([^\"]+)\"|\bas '([^']+)'|\bof user ([\w-]+)"
        ),
    ),
    # The comment of a key is often the person and the host.
    (
        "user",
        ("from agent", "public key: ", "accepts key: ", "attempt key: "),
        re.compile(
            r"\bsigning failed for \S+ \"(?!/|<)([^\"]+)\" from agent"
            r"|\b(?:Offering public key|Server accepts key|Will attempt key): (?!/|<)(\S+) (?=[A-Z])"
        ),
    ),
    (
        "host",
        ("_hostname", "node='", "<computer"),
        re.compile(r"\"_HOSTNAME\": ?\"([^\"]+)\"|\b_HOSTNAME=(\S+)|\bnode='([^']+)'|<Computer>([^<]+)<"),
    ),
    ("host", ("computer:", "hostname"), re.compile(r"^Computer: +(\S+)|\bhostname[=:] ?([\w.-]+)")),
    ("address", (_HEX + "." + _HEX,), re.compile(r"\b(?<!\.)(?<!\d-)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\d.])")),
    (
        "address",
        (_HEX * 2 + ":" + _HEX * 2,),
        re.compile(r"\b(?<!:)(?:[0-9a-fA-F]{2}:){5,15}[0-9a-fA-F]{2}(?![\w:])"),
    ),
    (
        "address",
        (_HEX + ":" + _HEX,),
        re.compile(r"\b(?<![:.])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])"),
    ),
    (
        "address",
        ("::",),
        re.compile(r"\b(?<![:.])(?:[0-9a-fA-F]{1,4}:){1,6}(?::[0-9a-fA-F]{1,4}){1,6}(?![\w:])"),
    ),
    (
        "id",
        (_HEX * 8 + "-" + _HEX * 4 + "-",),
        re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])"),
    ),
    (
        "fingerprint",
        (_HEX * 4 + " " + _HEX * 4, _HEX * 4 + "  " + _HEX * 4, "sha256:"),
        re.compile(r"(?:\b[0-9A-F]{4} {1,2}){9}[0-9A-F]{4}\b|(?<=SHA256:)[A-Za-z0-9+/]{43}"),
    ),
    (
        "serial",
        (_HEX * 32,),
        re.compile(
            r"(?<![0-9A-Fa-f])(?=[0-9A-Fa-f]*[1-9A-Fa-f])[0-9A-Fa-f]{32}(?:[0-9A-Fa-f]{8})?(?![0-9A-Fa-f])"
        ),
    ),
    ("serial", ("iserial",), re.compile(r"iSerial\w*\s+\d+\s+(\S.*)")),
    # Windows makes an instance's name of the serial number; one that it made up itself has an "&".
    (
        "serial",
        ("pid_",),
        re.compile(r"(?i)pid_[0-9a-f]{4}(?:&\w+)*\\{1,2}([^\\&\s\]'\"<{}]+)(?=[\s\]'\"<{}.]|$)"),
    ),
    # "SerialNumber=3" of a kernel is where to find it, and not what it is.
    (
        "serial",
        ("serial",),
        re.compile(
            r"(?i)serial[ _-]?(?:number|no\.?)[\"']?[ .…]*(?::|=(?!\d{1,3}\b))\s*[\"']?([^\s\"',;)<]+)"
        ),
    ),
    ("serial", ("serial ",), re.compile(r"(?i)\bserial (?!tty)(?=[A-Z]*\d)([0-9A-Z]{6,})\b")),
    (
        "serial",
        ("serial", "card-no"),
        re.compile(r"(?i)\bserial(?:\s*[=:]\s*|\s+\")[\"']?([^\s\"',;)<>]+)|\bcard-no: (\S.*)"),
    ),
    # What `uhubctl` shows of a device ends with its number; an OpenPGP card's application has it inside.
    (
        "serial",
        ("[", "d2 76"),
        re.compile(
            r"\[[0-9a-f]{4}:[0-9a-f]{4} [^\]]* (?=[A-Za-z]*\d)([0-9A-Za-z]{6,})\s*\]"
            rf"|\bD2 76 00 01 24 01((?: {_HEX2}){{10}})"
        ),
    ),
    # A reader's name ends with its number and its slot; gpg and scdaemon name one by its product and number.
    (
        "serial",
        (") ", _HEX * 4 + ":" + _HEX * 4 + ":"),
        re.compile(
            r"\((?=[\w.-]*\d)([\w.-]{5,32})\s*\)(?= \d\d \d\d| init failed)|\b[0-9A-F]{4}:[0-9A-F]{4}:(\w{4,}):\d+"
        ),
    ),
    (
        "serial",
        ("serialnumber", "("),
        re.compile(r"(?<=SerialNumber: )\S+|(?<=\()(?:DENK|[A-Z]{2,5})\d{7,}(?=\s*\))"),
    ),
    # Where the line has no time in front.
    (
        "host",
        ("kernel", "]: "),
        re.compile(rf"(?<=[\dZ] )(?!{_OF_KERNEL}\b)[\w.-]+(?= (?:kernel(?:\[\d+\])?|[\w./-]+\[\d+\]): )"),
    ),
    (
        "site",
        ("rp", "appid", "origin"),
        re.compile(
            r"(?i)\b(?:rp[ _.-]?id|appid|origin)[\"']?\s*[:=]\s*[\"']?(?!https?:)([\w-]+(?:\.[\w-]+)*)"
        ),
    ),
    (
        "site",
        ('"rp"', "{1:"),
        re.compile(r"\"rp\": ?\{[^{}]*?\"id\": ?\"([^\"]+)\"|\{1: ?\"([\w-]+(?:\.[\w-]+)+)\""),
    ),
    (
        "site",
        ("rp", "ssh:", "webauthn."),
        re.compile(r"(?<=rp=)\S+|(?<=rp_id[=:] )\S+|\bssh:[\w.-]+|(?<=webauthn\.)[\w.-]+"),
    ),
    ("site", ("http",), re.compile(r"(?<=https://)[\w-]+(?:\.[\w-]+)+|(?<=http://)[\w-]+(?:\.[\w-]+)+")),
)
"""(mark, words of which one stands in each match, as `_hinted` shows it, pattern)."""
_HINTS = tuple(dict.fromkeys(hint for _, hints, _ in _PATTERNS for hint in hints))
_HOST = re.compile(
    rf"(?!{_OF_KERNEL}:? )([\w.-]+) (?=(?:(?:kern|daemon|user|auth|authpriv|syslog)\.\w+ )?"
    r"(?:kernel(?:\[\d+\])?|[\w./()-]+\[\d+\]|[A-Za-z_][A-Za-z_./()-]{2,}): |[A-Za-z][\w.-]* (?:\d+|-) \S+ (?:- |\[))"
)
"""What stands between the time and the program."""


def _hinted(text: str) -> str:
    """A line in lower case, and once more with one sign for every hexadecimal digit."""
    low = text.lower()
    return f"{low}\n{low.translate(_DIGITS)}"


class Redactor:
    """Replaces what is private by marks, the same by the same."""

    def __init__(self) -> None:
        self._marks: dict[tuple[str, str], str] = {}
        self._count: Counter[str] = Counter()

    def __call__(self, text: str) -> str:
        """Redact a whole line, its time in front if it has one."""
        stamp, rest = read_stamp(text)
        return (
            text[: len(text) - len(rest)] + self.after_time(rest) if stamp is not None else self._clean(text)
        )

    def after_time(self, text: str) -> str:
        """Redact what stands behind the time of a line: it may begin with the name of a host."""
        if (match := _HOST.match(text)) is not None:
            return f"{self._mark('host', match[1])} {self._clean(text[match.end() :])}"
        return self._clean(text)

    def _clean(self, text: str) -> str:
        shown = _hinted(text)
        # Most lines have nothing to hide: looking for a word costs a tenth of a pattern.
        there = {hint for hint in _HINTS if hint in shown}
        for kind, hints, pattern in _PATTERNS:
            if not there.isdisjoint(hints):
                text = pattern.sub(partial(self._marked, kind), text)
        return text

    def _marked(self, kind: str, match: re.Match[str]) -> str:
        """The mark in place of the group that was found, or of all if there is none."""
        group = match.lastindex or 0
        if match[group].startswith("<") and match[group].endswith(">"):
            return match[0]
        begin, end = (at - match.start() for at in match.span(group))
        return match[0][:begin] + self._mark(kind, match[group]) + match[0][end:]

    def _mark(self, kind: str, found: str) -> str:
        mark = self._marks.get((kind, found))
        if mark is None:
            self._count[kind] += 1
            mark = self._marks[kind, found] = f"<{kind}-{self._count[kind]}>"
        return mark
