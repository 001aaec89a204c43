/*
 * reason: why something was done to a pod, or left alone. One list, used by the decision record,
 * the metrics and the documentation (docs/decision-record.md; a test compares them).
 */
#ifndef LASTWORD_WEBHOOK_REASON_H
#define LASTWORD_WEBHOOK_REASON_H

/* identifier, code, meaning */
#define REASONS(X)                                                                                 \
	X(APPLIED, "applied", "it was applied")                                                    \
	X(ALREADY, "already", "it is there already: an earlier pass, or the user's own doing")     \
	X(NO_RULE, "no-rule", "no rule of the configuration matches the pod")                      \
	X(OPT_OUT, "opt-out", "the pod's annotation lastword.dev/inject is \"false\"")             \
	X(MIRROR_POD, "mirror-pod", "a static pod's mirror: the kubelet would refuse a change")    \
	X(NO_AGENT, "no-agent", "none of the pod's containers is an agent container")              \
	X(NAME_TAKEN, "name-taken",                                                                \
	  "a container that is not ours has the name lastword-watchdog or lastword-install")       \
	X(VOLUME_TAKEN, "volume-taken", "a volume that is not ours has the name lastword")         \
	X(MOUNT_TAKEN, "mount-taken", "something else is mounted at, below or above /lastword")    \
	X(TOO_LARGE, "too-large",                                                                  \
	  "more containers, agents, volumes, mounts or uids than are looked at")                   \
	X(TOO_MUCH_WORK, "too-much-work",                                                          \
	  "deciding about the pod took more work than its size allows; nothing was changed")       \
	X(MALFORMED, "malformed", "the request or pod is not of the shape Kubernetes documents")   \
	X(VERIFICATION_FAILED, "verification-failed",                                              \
	  "the patched pod failed the webhook's own check; nothing was changed")                   \
	X(KEPT_BY_RULE, "kept-by-rule", "the rule says to leave it alone")                         \
	X(MESSAGE_PARSED, "message-parsed",                                                        \
	  "a program reads the termination message and would not understand log lines")            \
	X(PRESENT, "present", "the pod's author has set it, or the rule has nothing to add")       \
	X(POD_LEVEL, "pod-level", "the pod has resources of its own at pod level")                 \
	X(BREAKER, "breaker", "the namespace's breaker is open: its pods could not start with us") \
	X(SHIM_OFF, "shim-off", "the rule or the annotation lastword.dev/shim says off")           \
	X(WINDOWS, "windows", "a Windows pod")                                                     \
	X(HOST_NETWORK, "host-network", "the pod is in the node's network namespace")              \
	X(RUNTIME_CLASS, "runtime-class",                                                          \
	  "a runtimeClassName that the configuration does not list")                               \
	X(TTY, "tty", "the container has a terminal")                                              \
	X(NO_COMMAND, "no-command", "neither pod, annotation nor configuration name the command")  \
	X(INIT_SYSTEM, "init-system", "the command is an init system that insists on being PID 1") \
	X(SECURITY_PROFILE, "security-profile",                                                    \
	  "a localhost seccomp or AppArmor profile that may not know the shim")                    \
	X(RESTART_RULES, "restart-rules",                                                          \
	  "restartPolicyRules, whose end only a native sidecar can follow")                        \
	X(POD_RESOURCES, "pod-resources", "the sidecar does not fit into the pod-level resources") \
	X(WATCHDOG_PRESENT, "watchdog-present",                                                    \
	  "the watchdog that is there already does not know this container")                       \
	X(NOT_WRAPPED, "not-wrapped", "the container is not wrapped, so the hook has no shim")     \
	X(OTHER_HANDLER, "other-handler", "a preStop handler that is not exec is there")           \
	X(ANNOTATIONS_FULL, "annotations-full",                                                    \
	  "the pod's annotations are at Kubernetes' limit of 256 KiB")

enum reason {
#define REASON_ENUM(identifier, code, meaning) REASON_##identifier,
	REASONS(REASON_ENUM)
#undef REASON_ENUM
	        REASON_COUNT, /* at most 64: sets of reasons are bits of a uint64_t */
};
_Static_assert(REASON_COUNT <= 64, "a set of reasons fits 64 bits");

/* The code, as in the record. Static. */
const char *reason_code(enum reason reason);
const char *reason_meaning(enum reason reason);

#endif
