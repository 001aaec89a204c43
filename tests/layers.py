#!/usr/bin/python3
"""Proves the include rules of ARCHITECTURE.md: who may include whom, and where each third-party
library lives. Prints what breaks them; exit 1 if anything does."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A folder's files may include these folders; its main.c also those of MAIN_MAY.
MAY = {
    "lib": {"lib"},
    "webhook": {"webhook", "lib"},
    "certs": {"certs", "lib"},
    "watchdog": {"watchdog", "lib"},
    "observer": {"observer", "lib"},
    "cli": {"cli", "lib", "webhook"},  # the CLI is the webhook's pure modules on files
}
MAIN_MAY = {"webhook": {"certs"}}
CLI_MAY_USE = {"config", "admission", "policy", "mutate", "record", "patch", "verify"}

# The one home of each third-party header.
HOME = {
    "cjson": "lib/json.c",
    "curl": "lib/http_client.c",
    "microhttpd": "lib/http_server.c",
    "gnutls": "lib/http_server.c",
    "yaml": "lib/yaml.c",
    "openssl": "certs/x509.c",
}


def pod_lib():
    text = (ROOT / "Makefile").read_text()
    return set(re.search(r"^POD_LIB := (.*)$", text, re.M).group(1).split())


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def check(path, problems):
    where = path.relative_to(ROOT)
    folder = where.parts[0]
    may = MAY[folder] | (MAIN_MAY.get(folder, set()) if where.name == "main.c" else set())
    for number, own, name in includes(path):
        if own:
            target = name.split("/")[0]
            if "/" not in name or target not in may:
                problems.append(f"{where}:{number}: {folder}/ may not include \"{name}\"")
            stem = pathlib.Path(name).stem
            if folder == "cli" and target == "webhook" and stem not in CLI_MAY_USE:
                problems.append(f"{where}:{number}: cli/ may only use the webhook's pure modules")
            pod = folder == "watchdog" or (folder == "lib" and where.stem in pod_lib())
            if pod and target == "lib" and stem not in pod_lib():
                problems.append(f"{where}:{number}: runs in the pod, may not include \"{name}\"")
            continue
        library = re.split(r"[/.]", name)[0]
        library = {"cJSON": "cjson"}.get(library, library)
        if library in HOME and str(where) != HOME[library]:
            problems.append(f"{where}:{number}: <{name}> belongs in {HOME[library]} alone")


def main():
    problems = []
    files = [p for f in MAY for p in sorted((ROOT / f).glob("*.[ch]"))]
    for path in files:
        check(path, problems)
    print("\n".join(problems) if problems else f"{len(files)} files keep the include rules")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
