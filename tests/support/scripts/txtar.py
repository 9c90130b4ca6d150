"""The file format of scripts: text, then files, each after a line `-- name --`."""

import re

_MARK = re.compile(r"^-- (\S+) --$")


def parse(text):
    """Returns (head, files): the text before the first file, and an ordered dict name -> text."""
    head, files, name, lines = None, {}, None, []

    def close():
        nonlocal head
        body = "".join(lines)
        if name is None:
            head = body
        else:
            files[name] = body

    for line in text.splitlines(keepends=True):
        mark = _MARK.match(line.rstrip("\n"))
        if mark:
            close()
            name, lines = mark.group(1), []
            if name in files:
                raise ValueError(f"the file {name} is there twice")
        else:
            lines.append(line)
    close()
    return head, files


def format(head, files):
    out = head
    for name, body in files.items():
        if out and not out.endswith("\n"):
            out += "\n"
        out += f"-- {name} --\n{body}"
    return out if out.endswith("\n") else out + "\n"
