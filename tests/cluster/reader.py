"""A reader of the documents: types their commands into a shell, as they stand there."""
import os
import subprocess

import documents
import kube
import product
import tools

# What docs/upgrade.md says of Kubernetes 1.20, whose own kubectl is older than the kustomizations.
OLD_KUBECTL = """\
#!/bin/bash
set -o pipefail
[ "$1" = kustomize ] && exec {new} "$@"
words=() rendered=
while [ $# -gt 0 ]; do
	case "$1 $2" in
	"-k "*) rendered="{new} kustomize $2"; shift ;;
	"-f manifests/install.yaml") rendered="cat $2"; shift ;;
	*) words+=("$1") ;;
	esac
	shift
done
[ "$rendered" ] || exec {old} "${{words[@]}}"
[ "${{words[0]}}" = apply ] && words+=(--validate=false)
$rendered | sed 's|^apiVersion: policy/v1$|&beta1|' | {old} "${{words[@]}}" -f -
"""


WATCHING = 5  # seconds
TIMED_OUT = "124"  # timeout(1)


class Reader:
    def __init__(self, cluster, folder, namespace=None):
        """namespace: the current one of the reader's kubeconfig, if not its own."""
        self.folder = documents.fill(folder)
        programs = folder / "bin"
        programs.mkdir()
        for name in ("lastword", "kubectl-lastword"):
            (programs / name).symlink_to(product.BUILD / "bin/lastword")
        (programs / "helm").symlink_to(tools.tool("helm"))
        if cluster.version < (1, 21):
            old = subprocess.run(["which", "kubectl"], check=True, text=True,
                                 capture_output=True).stdout.strip()
            (programs / "kubectl").write_text(
                OLD_KUBECTL.format(new=tools.tool("kubectl"), old=old))
            (programs / "kubectl").chmod(0o755)
        config = folder / "kubeconfig"
        config.write_text(cluster.kubectl("config", "view", "--raw", "--flatten", "--minify"))
        self.environment = {**cluster.environment, "KUBECONFIG": str(config), "KUBE_EDITOR": "true",
                            "PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "120",
                            "HOME": str(folder)}
        if namespace:
            cluster.kubectl("config", "set-context", "--current", f"--namespace={namespace}",
                            f"--kubeconfig={config}")

    def type(self, command):
        """What the command prints, and what is wrong with how it ended, or None. All programs of a
        pipe must succeed; only grep may find nothing. One that watches is ended after a while."""
        statuses = self.folder / "statuses"
        text = f"timeout {WATCHING} {command.filled}" if command.goes_on else command.filled
        done = subprocess.run(
            ["bash", "-c", f'{text}\necho "${{PIPESTATUS[@]}}" >{statuses}'],
            cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=4 * kube.HANG)
        codes = statuses.read_text().split()
        if codes[-1] == "1" and command.text.rsplit("|", 1)[-1].split()[0] == "grep":
            codes.pop()
        if command.goes_on and codes[0] == TIMED_OUT:
            codes[0] = "0"
        wrong = None if set(codes) <= {"0"} else f"{command}: {codes}\n{done.stdout}{done.stderr}"
        return done.stdout, wrong
