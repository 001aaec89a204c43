#include "cli/manual.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define STATUSES     "0 ok, 1 failed, 2 usage."

#define FLAG(flag, letter, name, value, kind, words, text)                  \
	{                                                                   \
		FLAG_##flag, letter, name, value, VALUE_##kind, words, text \
	}

/* ---- Flags that several commands have ---- */

#define HELP_FLAG                FLAG(HELP, 'h', "help", NULL, ANY, NULL, "print this text")
#define OUTPUT_FLAG(words, text) FLAG(OUTPUT, 'o', "output", words, WORDS, words, text)
#define KUBECTL_FLAGS                                                                     \
	FLAG(KUBECONFIG, '\0', "kubeconfig", "FILE", FILE, NULL, "passed on to kubectl"), \
	        FLAG(CONTEXT, '\0', "context", "NAME", CONTEXT, NULL, "passed on to kubectl")
#define COLOR_FLAG                                                                               \
	FLAG(COLOR, '\0', "color", "WHEN", WORDS, "auto|always|never",                           \
	     "what is silent or wrong stands out: auto (the default: on a terminal), always or " \
	     "never")
#define KUBECTL_NOTE "The variable KUBECTL names another kubectl."
#define TABLE_NOTE \
	"Tables fit the terminal, or as many columns as the variable COLUMNS has. " KUBECTL_NOTE
#define WEBHOOK_CONFIG_FLAG \
	FLAG(CONFIG, 'c', "config", "FILE", FILE, NULL, "the webhook's configuration")
#define POD_NAMESPACE_FLAG                                       \
	FLAG(NAMESPACE, 'n', "namespace", "NS", NAMESPACE, NULL, \
	     "where the file names none (default: \"default\")")
#define KUBE_VERSION_FLAG                                          \
	FLAG(KUBE_VERSION, '\0', "kube-version", "1.N", ANY, NULL, \
	     "the API server's version, for sidecar mode auto")
#define WATCHDOG_IMAGE_FLAG                                              \
	FLAG(WATCHDOG_IMAGE, '\0', "watchdog-image", "IMAGE", ANY, NULL, \
	     "of the sidecar, unless the configuration names one (default: that of this version)")
#define NAMESPACE_FLAG \
	FLAG(NAMESPACE, 'n', "namespace", "NS", NAMESPACE, NULL, "a namespace (default: kubectl's)")
#define ALL_NAMESPACES_FLAG \
	FLAG(ALL_NAMESPACES, 'A', "all-namespaces", NULL, ANY, NULL, "all of them")
#define OWN_NAMESPACE_FLAG                                       \
	FLAG(NAMESPACE, 'n', "namespace", "NS", NAMESPACE, NULL, \
	     "lastword's own namespace (default: lastword-system)")
#define RECORD_FILTERS                                                                             \
	NAMESPACE_FLAG, ALL_NAMESPACES_FLAG,                                                       \
	        FLAG(SINCE, '\0', "since", "TIME", ANY, NULL,                                      \
	             "only exits since then: 24h or 7d ago, or a time in UTC, such as 2026-11-28 " \
	             "or 2026-11-28T10:30:00Z"),                                                   \
	        FLAG(UNTIL, '\0', "until", "TIME", ANY, NULL, "only exits until then"),            \
	        FLAG(CAUSE, '\0', "cause", "CAUSE", CAUSE, NULL,                                   \
	             "only exits of this cause: OOMKilled, Panic …"),                              \
	        FLAG(AGENT, '\0', "agent", "NAME", AGENT, NULL, "only exits of this agent"),       \
	        FLAG(CONTAINER, 'c', "container", "NAME", CONTAINER, NULL,                         \
	             "only exits of this container"),                                              \
	        FLAG(UNRESOLVED, '\0', "unresolved", NULL, ANY, NULL,                              \
	             "only exits after which no run of the same agent has succeeded"),             \
	        FLAG(SELECTOR, 'l', "selector", "LABELS", ANY, NULL,                               \
	             "only records with these labels: lastword.dev/cause=OOMKilled, "              \
	             "lastword.dev/agent=coder …")
#define NO_HEADERS_FLAG \
	FLAG(NO_HEADERS, '\0', "no-headers", NULL, ANY, NULL, "the table without its titles")
#define RECORD_FILE_FLAG                                    \
	FLAG(FILENAME, 'f', "filename", "FILE", FILE, NULL, \
	     "read records from a file, JSON or YAML; - is standard input")

/* ---- The flags of each command ---- */

static const struct manual_flag inject_flags[] = {
        WEBHOOK_CONFIG_FLAG,
        FLAG(FILENAME, 'f', "filename", "FILE", FILE, NULL,
             "Pods, objects with pod templates of any kind, Lists, AdmissionReviews; JSON or YAML; "
             "- is standard input"),
        OUTPUT_FLAG("yaml|json|patch",
                    "patch: a JSON Patch (RFC 6902) on one line for each document "
                    "with pods (default: as the input)"),
        POD_NAMESPACE_FLAG,
        KUBE_VERSION_FLAG,
        WATCHDOG_IMAGE_FLAG,
        HELP_FLAG,
};

static const struct manual_flag explain_flags[] = {
        WEBHOOK_CONFIG_FLAG,
        FLAG(FILENAME, 'f', "filename", "FILE", FILE, NULL,
             "Pods, objects with pod templates of any kind, Argo Workflows, Lists, "
             "AdmissionReviews; JSON or YAML; - is standard input"),
        OUTPUT_FLAG("json|text", "text is for people (default: json)"),
        POD_NAMESPACE_FLAG,
        KUBE_VERSION_FLAG,
        WATCHDOG_IMAGE_FLAG,
        HELP_FLAG,
};

static const struct manual_flag check_flags[] = {
        FLAG(CONFIG, 'c', "config", "FILE", FILE, NULL, "the configuration; - is standard input"),
        HELP_FLAG,
};

static const struct manual_flag images_flags[] = {
        FLAG(PIN, '\0', "pin", "tag|digest", WORDS, "tag|digest",
             "name the image as given (the default), or by the digest that it has now: a tag may "
             "move to an image with another command"),
        FLAG(PLATFORM, '\0', "platform", "OS/ARCH", WORDS, "linux/amd64|linux/arm64",
             "what one platform's image runs; without it linux/amd64 and linux/arm64 must run the "
             "same"),
        FLAG(DOCKER_CONFIG, '\0', "docker-config", "DIR", DIRECTORY, NULL,
             "where config.json with the credentials is (default: the variable DOCKER_CONFIG, else "
             "~/.docker)"),
        FLAG(CA_FILE, '\0', "ca-file", "FILE", FILE, NULL,
             "CA certificates of the registries, PEM (default: the system's)"),
        OUTPUT_FLAG("yaml|json", "the form of the entries (default: yaml)"),
        HELP_FLAG,
};

static const struct manual_flag status_flags[] = {OWN_NAMESPACE_FLAG, COLOR_FLAG, KUBECTL_FLAGS,
                                                  HELP_FLAG};

static const struct manual_flag scan_flags[] = {
        NAMESPACE_FLAG,
        ALL_NAMESPACES_FLAG,
        FLAG(CONFIG, '\0', "config", "FILE", FILE, NULL,
             "a configuration of the webhook (default: the one that is shipped)"),
        COLOR_FLAG,
        KUBECTL_FLAGS,
        HELP_FLAG,
};

static const struct manual_flag exits_flags[] = {
        RECORD_FILTERS,
        FLAG(OUTPUT, 'o', "output", "wide|json|yaml|name|jsonpath=TEMPLATE", WORDS,
             "wide|json|yaml|name|jsonpath=",
             "wide: all columns, nothing cut; json and yaml: an AgentExitList; name: as kubectl "
             "takes it; jsonpath: kubectl's template, of the AgentExitList"),
        NO_HEADERS_FLAG,
        FLAG(WATCH, 'w', "watch", NULL, ANY, NULL,
             "go on with each record that is new or changes, until it is interrupted"),
        COLOR_FLAG,
        RECORD_FILE_FLAG,
        KUBECTL_FLAGS,
        HELP_FLAG,
};

static const struct manual_flag groups_flags[] = {
        RECORD_FILTERS,   OUTPUT_FLAG("json", "the groups as JSON, with all agents"),
        NO_HEADERS_FLAG,  COLOR_FLAG,
        RECORD_FILE_FLAG, KUBECTL_FLAGS,
        HELP_FLAG,
};

static const struct manual_flag why_flags[] = {
        FLAG(NAMESPACE, 'n', "namespace", "NS", NAMESPACE, NULL,
             "the subject's namespace (default: kubectl's)"),
        FLAG(CONTAINER, 'c', "container", "NAME", CONTAINER, NULL,
             "only terminations of this container"),
        FLAG(LOG, '\0', "log", NULL, ANY, NULL,
             "with the end of the output, as far as the record has it"),
        FLAG(LOG_FILE, '\0', "log-file", "FILE", FILE, NULL, "write only that end, to a file"),
        OUTPUT_FLAG("json|yaml", "all records of the subject, an AgentExitList"),
        COLOR_FLAG,
        RECORD_FILE_FLAG,
        KUBECTL_FLAGS,
        HELP_FLAG,
};

static const struct manual_flag breaker_flags[] = {
        FLAG(FOR, '\0', "for", "DURATION", ANY, NULL,
             "of open: then one pod is tried (default: it stays open until it is closed)"),
        OWN_NAMESPACE_FLAG,
        OUTPUT_FLAG("json", "of list: the state as it is stored"),
        KUBECTL_FLAGS,
        HELP_FLAG,
};

static const struct manual_flag diagnose_flags[] = {
        FLAG(FILENAME, 'f', "filename", "FILE", FILE, NULL, "the log; - is standard input"),
        FLAG(EXIT, '\0', "exit", "CODE", ANY, NULL, "the container's exit code (default: 1)"),
        FLAG(SIGNAL, '\0', "signal", "NUMBER", ANY, NULL, "the signal that ended it"),
        FLAG(OOM_KILLS, '\0', "oom-kills", "N", ANY, NULL,
             "how many processes the kernel killed in its cgroup"),
        FLAG(CUT, '\0', "cut", NULL, ANY, NULL, "the log does not begin where the output began"),
        FLAG(CONFIG, 'c', "config", "FILE", FILE, NULL,
             "a configuration with diagnosis.rules and redact"),
        FLAG(RULE, '\0', "rule", "RULE", ANY, NULL,
             "a rule of one's own, as in diagnosis.rules; may be repeated"),
        FLAG(REDACT, '\0', "redact", "PATTERN", ANY, NULL,
             "a pattern of one's own, as in redact; may be repeated"),
        FLAG(OWNER, '\0', "owner", "NAME", ANY, NULL, "for the fingerprint"),
        FLAG(CONTAINER, '\0', "container", "NAME", ANY, NULL, "for the fingerprint"),
        OUTPUT_FLAG("text|json", "text is for people (default: text)"),
        HELP_FLAG,
};

static const struct manual_flag version_flags[] = {
        FLAG(CLIENT, '\0', "client", NULL, ANY, NULL,
             "only that of this program, without a cluster"),
        OWN_NAMESPACE_FLAG,
        OUTPUT_FLAG("json|yaml", "the versions as an object"),
        KUBECTL_FLAGS,
        HELP_FLAG,
};

static const struct manual_flag completion_flags[] = {HELP_FLAG};

/* ---- The commands ---- */

#define FLAGS(array) .flags = (array), .flag_count = COUNT(array)

const struct manual manuals[] = {
        {.name = "inject",
         .summary = "change the pods in a file as the webhook would",
         .synopsis = "-c CONFIG -f FILE [OPTION…]",
         .description =
                 "Changes the pods and pod templates in a file as the webhook would, and prints "
                 "the whole file. A document in which nothing changes is printed as it stands; the "
                 "others keep the order of their keys. Standard error has a line for each object: "
                 "injected, or left and why.\nLeft as they are: Argo Workflows (only Argo makes "
                 "their pods, and the webhook sees those) and Knative Services (Knative refuses "
                 "lifecycle hooks; the webhook sees their pods).",
         FLAGS(inject_flags),
         .statuses = STATUSES},
        {.name = "explain",
         .summary = "show what the webhook would do to them, and why",
         .synopsis = "-c CONFIG -f FILE [OPTION…]",
         .description = "Shows what the webhook would do to each pod that comes of a file, and "
                        "why: the decision record, one JSON object on a line, as in the annotation "
                        "lastword.dev/status. Pods are as the webhook would see them: with the "
                        "labels that their controllers add, and as Argo makes them. Standard error "
                        "has the warnings, and a line for each object without pods.",
         FLAGS(explain_flags),
         .statuses = STATUSES},
        {.name = "check",
         .summary = "check a configuration",
         .synopsis = "-c CONFIG",
         .description = "Reads a configuration, the webhook's (kind Config) or the observer's "
                        "(kind ObserverConfig), and checks whether the program would accept it. A "
                        "mistake is shown with its line, column and what was expected there.",
         FLAGS(check_flags),
         .statuses = "0 good, 1 refused, 2 usage."},
        {.name = "images",
         .summary = "ask registries what images run, for the configuration",
         .synopsis = "[OPTION…] IMAGE…",
         .description =
                 "Asks the registries what the images run, and prints the entries for \"images:\" "
                 "in the configuration: with them agents are wrapped whose pods name no command.",
         FLAGS(images_flags),
         .notes = "Proxies are taken from the environment (https_proxy, no_proxy).",
         .statuses = "0 all were resolved, 1 some were not, 2 usage."},
        {.name = "status",
         .summary = "check an installation",
         .synopsis = "[OPTION…]",
         .description =
                 "Checks an installation, a line for each check: the API server, the CRD, webhook "
                 "and observer, the registration and its CA, a pod that is created as a dry run, "
                 "certificates, opted-in namespaces, un-injected pods, breakers and receivers. "
                 "Stores nothing. Reads the cluster through kubectl.",
         FLAGS(status_flags),
         .notes = KUBECTL_NOTE,
         .statuses = "0 all is well, or there are only warnings, 1 something is wrong, 2 usage."},
        {.name = "scan",
         .summary = "find silent and failed pods; nothing needs to be installed",
         .synopsis = "[OPTION…]",
         .description = "Looks at the pods of a cluster, where nothing needs to be installed: "
                        "which are silent now (a container has failed for good, and another one "
                        "keeps the pod Running), which containers have failed, and which pods the "
                        "webhook would inject, if they were created in namespaces that are opted "
                        "in. Only reads, through kubectl.",
         FLAGS(scan_flags),
         .notes = TABLE_NOTE,
         .statuses = STATUSES},
        {.name = "exits",
         .summary = "list the failed terminations of agents in a cluster",
         .synopsis = "[OPTION…]",
         .description = "Lists the failed terminations of agent containers, the newest last. Reads "
                        "the cluster's AgentExits through kubectl.",
         FLAGS(exits_flags),
         .notes = TABLE_NOTE,
         .statuses = STATUSES},
        {.name = "groups",
         .summary = "group those that are similar",
         .synopsis = "[OPTION…]",
         .description = "Groups the failed terminations of agents that are similar: those with the "
                        "same fingerprint, the group seen last at the end. Reads the cluster's "
                        "AgentExits through kubectl.\nSTATE is open, resolved (a later run of each "
                        "agent has succeeded) or back (it failed again after it was resolved).",
         FLAGS(groups_flags),
         .notes = TABLE_NOTE,
         .statuses = STATUSES},
        {.name = "why",
         .summary = "show why a pod's agent failed",
         .synopsis = "SUBJECT [OPTION…]",
         .description = "Shows the last termination of an agent: the cause, the key log lines, and "
                        "which recent failures were similar. The pod may be deleted already. Reads "
                        "the cluster's AgentExits through kubectl.\nSUBJECT is a pod (coder-7f9 or "
                        "pod/coder-7f9), an owner (job/NAME, statefulset/NAME …), workflow/ID or "
                        "task/ID. A name alone is looked for as a pod, then as any of the others, "
                        "then as the beginning of a pod's name.",
         FLAGS(why_flags),
         .notes = TABLE_NOTE,
         .statuses = "0 ok, 1 failed or no record, 2 usage.",
         .argument = VALUE_SUBJECT},
        {.name = "breaker",
         .summary = "show, open or close the breakers of namespaces",
         .synopsis = "[list] [OPTION…]\n"
                     "open NAMESPACE [--for DURATION] [OPTION…]\n"
                     "close NAMESPACE [OPTION…]",
         .description = "Shows the breakers that are not closed, and opens or closes that of a "
                        "namespace. While it is open no pod of the namespace is wrapped: "
                        "docs/guards.md. Reads and writes through kubectl the ConfigMap "
                        "lastword-breaker. Webhooks know of a change within five seconds.",
         FLAGS(breaker_flags),
         .notes = TABLE_NOTE,
         .statuses = STATUSES,
         .argument = VALUE_WORDS,
         .argument_words = "list|open|close"},
        {.name = "diagnose",
         .summary = "show what the watchdog would report of a log",
         .synopsis = "-f LOG [--exit CODE | --signal NUMBER] [OPTION…]",
         .description = "Shows what the watchdog would report of a log, and which rule decided.",
         FLAGS(diagnose_flags),
         .statuses = STATUSES},
        {.name = "version",
         .summary = "show the versions of this program and of the installation",
         .synopsis = "[OPTION…]",
         .description = "Shows the versions of this program, of the webhook, the observer and the "
                        "watchdog that are installed, as their images' tags say, and of "
                        "Kubernetes. lastword --version shows only the first.",
         FLAGS(version_flags),
         .notes = KUBECTL_NOTE,
         .statuses = "0 ok, 1 the cluster could not be read, or lastword is not installed there, 2 "
                     "usage."},
        {.name = "completion",
         .summary = "print a script that completes lastword in a shell",
         .synopsis = "bash|zsh|fish",
         .description = "Prints a script that completes commands, flags, namespaces, contexts, "
                        "agents, causes and pods of records: source <(lastword completion bash), "
                        "source <(lastword completion zsh), or lastword completion fish | "
                        "source.\nkubectl completes kubectl lastword by itself where a program of "
                        "the name kubectl_complete-lastword is in PATH: a symbolic link to "
                        "lastword, which make install-cli makes.",
         FLAGS(completion_flags),
         .statuses = "0 ok, 1 failed, 2 usage.",
         .argument = VALUE_WORDS,
         .argument_words = "bash|zsh|fish"},
};

const size_t manual_count = COUNT(manuals);

const struct manual_variable manual_variables[] = {
        {"KUBECTL", "the kubectl through which the cluster is read (default: kubectl in PATH)"},
        {"KUBECONFIG", "read by kubectl"},
        {"COLUMNS", "how many columns a table may have (default: as many as the terminal has)"},
        {"NO_COLOR", "not empty: --color is never by default; so it is where TERM is dumb"},
        {"DOCKER_CONFIG", "of lastword images: the folder of config.json with the credentials"},
        {"https_proxy, no_proxy", "of lastword images: how registries are reached"},
};

const size_t manual_variable_count = COUNT(manual_variables);

const char manual_description[] =
        "lastword makes every end of an agent's container in Kubernetes observable: a webhook puts "
        "a watchdog beside the agent, and an observer writes a record, an AgentExit, of each "
        "container that failed. This program reads the records of a cluster, checks an "
        "installation, and does with files what the webhook does with pods. Under the name "
        "kubectl-lastword in PATH it is a plugin of kubectl.\nA cluster is read through the user's "
        "own kubectl, and so with the user's own rights.";
