/*
 * names: the names that lastword gives to containers, volumes, paths, labels and annotations in the
 * pods that it changes. watchdog/PROTOCOL.md describes the flags of the commands.
 */
#ifndef LASTWORD_LIB_KUBE_NAMES_H
#define LASTWORD_LIB_KUBE_NAMES_H

#define NAME_WATCHDOG "lastword-watchdog" /* the sidecar container */
#define NAME_INSTALL  "lastword-install"  /* the init container of classic mode */
#define NAME_VOLUME   "lastword"          /* the volume that carries the shim */

#define PATH_MOUNT "/lastword"      /* where that volume is mounted */
#define PATH_SHIM  "/lastword/shim" /* the shim as the agent sees it */
#define PATH_IMAGE "/shim"          /* the one file of the watchdog's image */
#define PATH_TOKEN "/var/run/secrets/kubernetes.io/serviceaccount"

/* How long a quick agent's shim waits for a classic watchdog (run --wait), from its own start: on a
 * busy node the next container of a pod was seen to start seconds later. A watchdog that comes
 * after the agent has ended knows of none, and keeps the pod up for its whole start timeout. */
#define CLASSIC_WAIT "10s"

#define KEY_PREFIX            "lastword.dev/"
#define KEY_INJECT            "lastword.dev/inject" /* of a namespace: label; of a pod: annotation */
#define KEY_INJECTED          "lastword.dev/injected"
#define KEY_STATUS            "lastword.dev/status"
#define KEY_CONTEXT           "lastword.dev/context." /* + name */
#define KEY_SAFE_TO_EVICT     "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
#define KEY_MIRROR            "kubernetes.io/config.mirror"
#define KEY_DEFAULT_CONTAINER "kubectl.kubernetes.io/default-container"
#define KEY_CLI_CONTAINER     "cli-container"
#define KEY_SCC               "openshift.io/scc" /* SCC admission has seen the pod */
#define KEY_AZURE_PREFIX      "azure.workload.identity/"
#define KEY_AZURE_USE         "azure.workload.identity/use"

#endif
