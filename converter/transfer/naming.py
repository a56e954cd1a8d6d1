"""Names and patterns of parameters: the explicit map, and what is selected."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from converter.errors import InputError, UsageError, known
from converter.transfer.parameters import Parameter

Wanted = Callable[[Parameter], bool]


def by_name(parameters: Sequence[Parameter]) -> dict[str, Parameter]:
    """Parameters by name; one that two have is nobody's."""
    found: dict[str, Parameter] = {}
    twice: set[str] = set()
    for parameter in parameters:
        twice |= {parameter.name} & found.keys()
        found[parameter.name] = parameter
    return {name: p for name, p in found.items() if name not in twice}


def mapped(source: Sequence[Parameter], dest: Sequence[Parameter], mapping: Mapping[str, str]) -> Iterator[tuple[Parameter, Parameter]]:
    """Pairs that ``mapping`` names; what a ``*`` stands for in the donor's name goes into the ``*`` of the recipient's.

    Raises:
        UsageError: a rule matches no parameter of the donor, or one that another rule leads elsewhere, or leads to none of the recipient, or
            to one that has a donor already.
    """
    theirs, donors, led = by_name(dest), dict[str, str](), dict[int, str]()
    for old, new in mapping.items():
        if old.count("*") != new.count("*"):
            raise UsageError(f"map {old}={new}: both sides need the same number of *, received {old.count('*')} and {new.count('*')}")
        hits = [(p, found) for p in source if (found := _pattern(old).fullmatch(p.name))]
        if not hits:
            raise UsageError(f"map {old}={new} matches no parameter of the donor; it has {known(p.name for p in source)}")
        for parameter, found in hits:
            name = _filled(new, found.groups())
            if name not in theirs:
                raise UsageError(f"map {old}={new}: {parameter.name} of the donor leads to {name}, which the recipient does not have; it has "
                                 f"{known(theirs)}")
            if led.setdefault(id(parameter.value), name) != name:
                raise UsageError(f"map {old}={new} leads {parameter.name} of the donor to {name}, another rule to {led[id(parameter.value)]}")
            if donors.get(name) == parameter.name:  # two rules say the same
                continue
            if name in donors:
                raise UsageError(f"map {old}={new}: {parameter.name} and {donors[name]} of the donor both lead to {name}")
            donors[name] = parameter.name
            yield parameter, theirs[name]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("(.*)".join(map(re.escape, text.split("*"))))


def _filled(text: str, groups: Sequence[str]) -> str:
    parts = text.split("*")
    return parts[0] + "".join(group + part for group, part in zip(groups, parts[1:], strict=True))


def read_rules(rules: Sequence[str]) -> dict[str, str]:
    """``old/*=new/*``, as the command line has them.

    Raises:
        UsageError: no such rule.
    """
    found: dict[str, str] = {}
    for rule in rules:
        old, mark, new = rule.partition("=")
        if not (old and mark and new):
            raise UsageError(f"a map is written old=new, received {rule!r}")
        found[old] = new
    return found


def read_map(path: str | Path) -> dict[str, str]:
    """A map in a JSON or YAML file: one object of names of the donor to names of the recipient.

    Raises:
        InputError: the file is missing or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is neither JSON nor YAML: {' '.join(str(error).split())[:200]}") from error
    wrong = [f"{a!r}: {b!r}" for a, b in told.items() if not isinstance(a, str) or not isinstance(b, str)] if isinstance(told, dict) else []
    if wrong or not isinstance(told, dict):
        raise InputError(f"{path} must be one object of names of the donor to names of the recipient; received "
                         + (known(wrong, 5) if wrong else f"a {type(told).__name__}"))
    return dict(told)


def selected(source: Sequence[Parameter], dest: Sequence[Parameter], select: Sequence[str], exclude: Sequence[str]) -> Wanted:
    """Whether a parameter is wanted: it matches ``select`` (all, where there is none), by name or layer path, and not ``exclude``.

    Raises:
        UsageError: a pattern matches nothing on either side.
    """
    for pattern in (*select, *exclude):
        if not any(_matches(p, pattern) for p in (*source, *dest)):
            raise UsageError(f"pattern {pattern!r} matches no parameter; the recipient has {known(p.name for p in dest)}")
    return lambda p: (not select or any(_matches(p, s) for s in select)) and not any(_matches(p, e) for e in exclude)


def _matches(parameter: Parameter, pattern: str) -> bool:
    return fnmatchcase(parameter.name, pattern) or fnmatchcase(parameter.place, pattern)
