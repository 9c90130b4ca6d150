#!/usr/bin/env python3
"""Checks the layer table: who may include whom, which library is seen where, and which words a layer must not contain.

usage: layers.py [ROOT]     prints FILE:LINE: MESSAGE for each violation; exit code 1 when there is one
"""
import re
import sys
from pathlib import Path

# layer: (folders whose headers it may include, third-party libraries it may include anywhere)
LAYERS = {
    "lib/base": ({"base"}, set()),
    "lib/json": ({"base", "json"}, set()),
    "lib/kube": ({"base", "json", "kube"}, set()),
    "lib/kubevirt": ({"base", "json", "kube", "kubevirt"}, set()),
    "lib/backup": ({"base", "kube", "kubevirt", "backup"}, set()),
    "cli": ({"base", "json", "backup", "cli"}, {"CLI"}),
}
OURS = {"base", "json", "kube", "kubevirt", "backup", "cli"}
THIRD_PARTY = {"fmt", "rapidjson", "yaml-cpp", "curl", "CLI", "doctest", "nghttp2", "openssl", "ares.h", "zlib.h", "boost"}

# Exceptions to the table, by file pattern: extra includes.
EXTRA = [
    (r"lib/json/[a-z0-9_]+\.cpp", {"rapidjson", "yaml-cpp"}),
    (r"lib/kube/curl_transport(_\w+)?\.(cpp|hpp)", {"curl"}),
    (r"cli/(context|flags)\.cpp", {"kube", "kubevirt"}),
]
# Of kube, backup sees references, selectors and waits, never the wire.
BACKUP_MUST_NOT_SEE = {"kube/transport.hpp", "kube/curl_transport.hpp", "kube/rest_client.hpp", "kube/kubeconfig.hpp"}

# (files, in "code" with comments and string literals blanked | in "strings" alone | in "all" text, pattern, message)
WORDS = [
    (r"lib/base/", "all", r"(?i)\b(pods?|vms?|kube\w*)\b", "base knows no Kubernetes"),
    (r"lib/json/", "strings", r"\b(apiVersion|metadata|resourceVersion|spec|status)\b", "json knows no field of any API"),
    (r"lib/kube/", "strings", r"(?i)VirtualMachine|kubevirt", "kube knows no KubeVirt"),
    (r"lib/backup/", "strings", r"https?://|/apis?/", "backup knows no URLs"),
    (r"lib/backup/", "code", r"\bgetenv\b", "backup reads no environment"),
    (r"lib/", "code", r"\bstd::(cout|cerr|clog)\b|\b(printf|fprintf|puts|fputs|perror)\s*\(|\bfmt::print(ln)?\b", "a library prints nothing"),
    (r"lib/", "code", r"\b(std::)?(quick_)?exit\s*\(|\babort\s*\(|\bstd::terminate\b", "only main ends the process"),
    (r"cli/", "strings", r"/apis?/", "API paths belong to kube and kubevirt"),
    (r"(?!lib/base/clock\.cpp)(lib|cli)/", "code", r"\b(sleep_for|usleep|nanosleep|clock_nanosleep)\b|this_thread::sleep_until|\bsleep\s*\(",
     "the only sleep is base::Clock's, in lib/base/clock.cpp"),
    (r"tests/(base|json|kube|kubevirt|backup|cli|support)/", "code", r"\b(sleep_for|usleep|nanosleep)\b|this_thread::sleep_until",
     "no test sleeps"),
]
FORBIDDEN_FOLDERS = {"util", "utils", "common", "helpers", "misc"}

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^()\s]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def views(text):
    """The text with comments and literals blanked, and the text with everything but string literals blanked."""
    code, strings, end = [], [], 0
    for token in TOKEN.finditer(text):
        # A digit separator (1'000) is not a character literal.
        if token[0][0] == "'" and token.start() and text[token.start() - 1].isalnum():
            continue
        code.append(text[end:token.start()])
        strings.append(blank(text[end:token.start()]))
        literal = token[0][0] in '"R'
        code.append(blank(token[0]))
        strings.append(token[0] if literal else blank(token[0]))
        end = token.end()
    return "".join(code) + text[end:], "".join(strings) + blank(text[end:])


def includes_of(text):
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start(2)) + 1, match[1], match[2]


def check_includes(path, text):
    layer = next((name for name in LAYERS if path.startswith(name + "/")), None)
    if layer is None:
        return
    folders, libraries = (set(part) for part in LAYERS[layer])
    for pattern, more in EXTRA:
        if re.fullmatch(pattern, path):
            folders |= more & OURS
            libraries |= more - OURS
    own = "cli" if layer == "cli" else layer.removeprefix("lib/")
    for line, bracket, target in includes_of(text):
        top = target.split("/")[0]
        if bracket == '"' and (top not in OURS or "/" not in target or ".." in target):
            yield line, f'"{target}": our headers are included as "layer/name.hpp", others in <>'
        elif bracket == "<" and top in OURS:
            yield line, f'<{target}>: our headers are included in ""'
        elif top in OURS and top not in folders:
            yield line, f"{own} must not include {target}"
        elif top in THIRD_PARTY and top not in libraries:
            yield line, f"{own} must not include {target} here"
        elif layer == "lib/backup" and target in BACKUP_MUST_NOT_SEE:
            yield line, f"backup must not include {target}"


def check_words(path, text):
    # The path of an include is no text of the program.
    text = INCLUDE.sub(lambda match: blank(match[0]), text)
    code, strings = views(text)
    for files, where, pattern, message in WORDS:
        if re.match(files, path):
            view = {"code": code, "strings": strings, "all": text}[where]
            for match in re.finditer(pattern, view):
                yield view.count("\n", 0, match.start()) + 1, f"'{match[0].strip()}': {message}"


def check(root):
    root = Path(root)
    for top in ("lib", "cli", "tests"):
        for path in sorted((root / top).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_dir() and path.name in FORBIDDEN_FOLDERS and top != "tests":
                yield f"{name}: a folder of this name collects everything; name what it is for"
            if not path.is_file() or path.suffix not in (".cpp", ".hpp"):
                continue
            text = path.read_text(encoding="utf-8")
            for line, message in [*check_includes(name, text), *check_words(name, text)]:
                yield f"{name}:{line}: {message}"
            if path.suffix == ".hpp" and "#pragma once" not in text:
                yield f"{name}:1: a header begins with #pragma once"
            if not re.fullmatch(r"[a-z0-9_]+", path.stem):
                yield f"{name}: file names are snake_case"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    found = list(check(root))
    for message in found:
        print(message)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
