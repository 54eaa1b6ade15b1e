"""The names of months as `dmesg -T` and loggers write them in several languages."""

from __future__ import annotations

import re

_NAMES = (
    "jan januar janvier gen ene enero xan leden sty janv januari tammi янв января яну јан oca ocak ιαν "
    "січ gennaio janeiro ian ian jaan saus ינו ינואר يناير ينا ม.ค urt yan",
    "feb februar fev février febbraio febrero únor úno lut févr fevr februari febr helmi фев февраля "
    "şub φεβ лют фев veebr vas פבר פברואר فبراير فبر ก.พ ots",
    "mar mär märz mrz mars marzo březen bře maa maart maalis марта мар mart μαρ μάρ бер márc março març "
    "märts marts kov מרץ مارس مار มี.ค",
    "apr april avr avril aprile abr abril kwi dub huhti апр апреля nis nisan απρ кві ápr aprill bal אפר "
    "אפריל أبريل أبر เม.ย api",
    "may mai mag maggio mayo maj mei květen kvě touko мая май мај mayıs μαΐ μαι тра máj maio maig maijs "
    "geg מאי مايو ماي พ.ค maí",
    "jun juni juin giu giugno junio cze čvn červen kesä июн июня јун юни haz haziran ιουν ιούν чер jún "
    "junho juny juuni iun birž jūn יונ יוני يونيو يون มิ.ย eka xuñ",
    "jul juli juil juillet lug luglio julio lip čvc červenec heinä июл июля јул юли tem temmuz ιουλ "
    "ιούλ лип júl julho juuli iul liep jūl יול יולי يوليو يول ก.ค uzt xul",
    "aug august aoû août ago agosto sie srp elo авг августа ağu ağustos αυγ αύγ сер augustus augusti "
    "agu agt rugp avg אוג أغسطس أغس ส.ค abu ágú ag",
    "sep sept september set settembre septiembre wrz zář září syys сен сентября сеп eyl eylül σεπ вер "
    "szept setembro rugs ספט سبتمبر سبت ก.ย ira",
    "oct okt oktober ott ottobre octubre paź říj říjen loka окт октября eki ekim οκτ жов octobre "
    "outubro out spal אוק أكتوبر أكت ต.ค urr",
    "nov november novembre noviembre lis marras ноя ноября нов ное kas kasım νοε νοέ лис novembro lapkr "
    "נוב نوفمبر نوف พ.ย aza nóv",
    "dec dez dezember déc décembre dic dicembre diciembre gru pro joulu дек декабря дец ara δεκ гру "
    "dezembro des dets gruod דצמ ديسمبر ديس ธ.ค abe",
)
"""In lower case, without the point at the end. A short name that means two months in two languages has the one of the
larger."""
_MONTHS = {name: number for number, names in enumerate(_NAMES, 1) for name in names.split()}
_NUMBERED = re.compile(r"(?:th)?(\d{1,2})[月월]?")
"""As Chinese, Japanese, Korean and Vietnamese write it: 12月, 12월, Th12."""


def month_of(name: str) -> int | None:
    """The number of a month, from 1; None if it is none."""
    low = name.lower().rstrip(".")
    if (match := _NUMBERED.fullmatch(low)) and 1 <= int(match[1]) <= 12:
        return int(match[1])
    return _MONTHS.get(low)
