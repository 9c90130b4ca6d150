"""Takes out of a text what differs from run to run. Replacements are as long as what they replace where tables may hold it."""

import re

_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_RUN = re.compile(r"\b\d{8}-\d{6}-[a-z0-9]{4}\b")
# YAML puts an id in quotes whose four last characters happen to be digits.
_QUOTED_RUN = re.compile(r'(?m)^(\s*(?:- )?(?:kubectl-vmbackup/)?run: )"(\d{8}-\d{6}-\d{4})"$')
_UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_SECONDS = re.compile(r"(?<![^\s])(?:\d+\.\ds|\d+m\d\ds)(?![^\s])")
_JSON_SECONDS = re.compile(r"((?:duration|window)Seconds\"?: ?)[0-9.e+-]+")
_OFFSET = re.compile(r"(?:\b\d+ ms (?:before|after) |\bat )?\bt0\b(?! is when)")
_MILLISECONDS = re.compile(r"\b\d+ ms\b")
_FRACTION = re.compile(r"\b\d+\.\d\d s\b")
_PORT = re.compile(r"\b(127\.0\.0\.1|localhost|\[::1\]):\d{2,5}\b")
_VERSION = re.compile(r"(resource version: )\d+( \()\d+(\))")
_AGE = re.compile(r"\((\d+m)?\d+(\.\d+)?(ms|s)\)")
_RELEASE = re.compile(r"\bv\d+\.\d+\.\d+(?:[-+][-+.\w]*)?")
_TOOK = re.compile(r"(?m)^((?:GET|POST|PUT|PATCH|DELETE|WATCH) .* )\S*\d(?:ms|s|m)$")


def _same_length(match):
    fraction = match.group(1) or ""
    return "YYYY-MM-DDThh:mm:ss" + ("." + "f" * (len(fraction) - 1) if fraction else "") + "Z"


class Normaliser:
    """One per script: it numbers UIDs over the whole of it."""

    def __init__(self, namespace, paths):
        """paths: list of (path of this machine, what to write for it), tried in this order."""
        self._namespace = re.compile(r"(?<![A-Za-z0-9])" + re.escape(namespace) + r"(?![A-Za-z0-9])")
        self._paths = [(path, word) for path, word in paths if path]
        self._uids = {}

    def _uid(self, match):
        if match.group(0).startswith("00000000-0000-0000-0000-"):
            return match.group(0)  # replaced already
        number = self._uids.setdefault(match.group(0), len(self._uids) + 1)
        return f"00000000-0000-0000-0000-{number:012d}"

    def __call__(self, text):
        for path, word in self._paths:
            text = text.replace(path, word)
        text = _TIME.sub(_same_length, text)
        text = _QUOTED_RUN.sub(r"\1\2", text)
        text = _RUN.sub("yyyymmdd-hhmmss-rrrr", text)
        text = _UID.sub(self._uid, text)
        text = _JSON_SECONDS.sub(r"\g<1>0.0", text)
        text = _TOOK.sub(r"\1TIME", text)
        text = _OFFSET.sub("T", text)
        text = _MILLISECONDS.sub("N ms", text)
        text = _FRACTION.sub("N.NN s", text)
        text = _SECONDS.sub("0.0s", text)
        text = _AGE.sub("(TIME)", text)
        text = _PORT.sub(r"\1:PORT", text)
        text = _RELEASE.sub("vN.N.N", text)
        text = _VERSION.sub(r"\1N\2N\3", text)
        return self._namespace.sub("prod", text)


_RANDOM = re.compile(r"(resourceVersion|timeoutSeconds|continue)=[^&]+")


def request_line(method, target, normalise):
    """One line of a request log: the query readable, with its changing numbers taken out."""
    from urllib.parse import unquote

    path, _, query = target.partition("?")
    if query:
        query = "?" + _RANDOM.sub(r"\1=N", unquote(query))
    return normalise(f"{method} {unquote(path)}{query}")
