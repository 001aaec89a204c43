#!/usr/bin/python3
"""Proves the include rules of ARCHITECTURE.md: who may include whom, that no modules include each
other in a circle, and where each third-party library lives. Prints what breaks them; exit 1 if
anything does."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A folder's files may include these folders; its main.c also those of MAIN_MAY. A room of lib/ is
# a folder of its own, and what it may include says what it drags in.
LIB = {
    "lib/base": {"lib/base"},
    "lib/diagnosis": {"lib/diagnosis", "lib/base"},
    "lib/document": {"lib/document", "lib/base"},
    "lib/http": {"lib/http", "lib/base"},
    "lib/registry": {"lib/registry", "lib/http", "lib/document", "lib/base"},
    "lib/kube": {"lib/kube", "lib/http", "lib/document", "lib/diagnosis", "lib/base"},
}
IN_THE_POD = {"lib/base", "lib/diagnosis"}
# A room of observer/ may include itself and those before it; what is in observer/ itself, all.
OBSERVER_ROOMS = ["base", "pod", "notify", "record", "receiver", "evidence", "audit", "guard", "watch"]
OBSERVER = {f"observer/{room}": {f"observer/{r}" for r in OBSERVER_ROOMS[:i + 1]} | set(LIB)
            for i, room in enumerate(OBSERVER_ROOMS)}
MAY = {
    **LIB,
    **OBSERVER,
    "watchdog": {"watchdog", *IN_THE_POD},
    "webhook": {"webhook", *LIB},
    "certs": {"certs", *LIB},
    "observer": {"observer", *OBSERVER, *LIB},
    # The CLI is the webhook's pure modules on files, reads pods as the observer does, and checks the
    # observer's configuration.
    "cli": {"cli", "webhook", "observer/receiver", "observer/pod", *LIB},
}
MAIN_MAY = {"webhook": {"certs"}}
# The observer decides as the webhook does which pods should have been injected.
OBSERVER_MAY_USE = {"config", "container_index", "options", "plan", "select"}
OBSERVER_USES_IN = "observer/audit/injection_policy.c"
FILE_MAY = {OBSERVER_USES_IN: {"webhook"}}
CLI_MAY_USE = {"config", "admission", "policy", "mutate", "plan", "record", "patch", "verify"}

# The one home of each third-party header.
HOME = {
    "cjson": "lib/document/json_tree.h",
    "curl": "lib/http/client.c",
    "microhttpd": "lib/http/server.c",
    "gnutls": "lib/http/tls_identity.c",
    "yaml": "lib/document/yaml.c",
    "openssl": ("certs/x509.c", "lib/registry/digest.c"),
    "uniwidth": "cli/terminal.c",
}


def folder_of(name):
    """The folder whose rules hold for a file: a room of lib/ or observer/, else the first part of
    its path."""
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] in ("lib", "observer") and len(parts) > 2 else parts[0]


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def check(path, problems):
    where = str(path.relative_to(ROOT))
    folder = folder_of(where)
    may = MAY[folder] | (MAIN_MAY.get(folder, set()) if path.name == "main.c" else set())
    for number, own, name in includes(path):
        if own:
            target = folder_of(name)
            if "/" not in name or target not in may | FILE_MAY.get(where, set()):
                problems.append(f"{where}:{number}: {folder}/ may not include \"{name}\"")
            if folder == "cli" and target == "webhook" and \
                    pathlib.Path(name).stem not in CLI_MAY_USE:
                problems.append(f"{where}:{number}: cli/ may only use the webhook's pure modules")
            if folder == "cli" and target == "observer/receiver" and \
                    pathlib.Path(name).stem != "receiver_config":
                problems.append(f"{where}:{number}: cli/ may only use the observer's receiver_config")
            if where == OBSERVER_USES_IN and target == "webhook" and \
                    pathlib.Path(name).stem not in OBSERVER_MAY_USE:
                problems.append(f"{where}:{number}: observer/ may only use what decides on rules")
            continue
        library = re.split(r"[/.]", name)[0]
        library = {"cJSON": "cjson"}.get(library, library)
        home = HOME.get(library, where)
        if where not in (home if isinstance(home, tuple) else (home,)):
            problems.append(f"{where}:{number}: <{name}> belongs in {home} alone")


def circles(paths):
    """Modules (a .c and its .h) that include each other, directly or by way of others."""
    graph = {}
    for path in paths:
        module = str(path.relative_to(ROOT).with_suffix(""))
        targets = {name.removesuffix(".h") for _, own, name in includes(path) if own}
        graph.setdefault(module, set()).update(targets - {module})
    done, found = set(), []

    def visit(module, trail):
        if module in trail:
            found.append(" -> ".join([*trail[trail.index(module):], module]))
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, [*trail, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


def main():
    problems = []
    files = [path for folder in sorted({f.split("/")[0] for f in MAY})
             for path in sorted((ROOT / folder).rglob("*.[ch]"))]
    for path in files:
        if folder_of(str(path.relative_to(ROOT))) not in MAY:
            problems.append(f"{path.relative_to(ROOT)}: a folder that has no include rules")
            continue
        check(path, problems)
    problems += [f"{circle}: they include each other in a circle" for circle in circles(files)]
    print("\n".join(problems) if problems else f"{len(files)} files keep the include rules")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
