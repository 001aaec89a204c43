/*
 * manual: the commands of lastword and their flags, one table. The flags are parsed by it
 * (option.h), and --help, the man pages, the reference in docs/cli.md and the completion of shells
 * are written of it. Texts are UTF-8; a line end in one begins a new paragraph. Pure; no
 * third-party library, since a program that runs during the build writes the man pages.
 */
#ifndef LASTWORD_CLI_MANUAL_H
#define LASTWORD_CLI_MANUAL_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;

/* The flags of all commands; beyond any letter. */
enum flag {
	FLAG_AGENT = 256,
	FLAG_ALL_NAMESPACES,
	FLAG_CA_FILE,
	FLAG_CAUSE,
	FLAG_CLIENT,
	FLAG_COLOR,
	FLAG_CONFIG,
	FLAG_CONTAINER,
	FLAG_CONTEXT,
	FLAG_CUT,
	FLAG_DOCKER_CONFIG,
	FLAG_EXIT,
	FLAG_FILENAME,
	FLAG_FOR,
	FLAG_HELP,
	FLAG_KUBECONFIG,
	FLAG_KUBE_VERSION,
	FLAG_LOG,
	FLAG_LOG_FILE,
	FLAG_NAMESPACE,
	FLAG_NO_HEADERS,
	FLAG_OOM_KILLS,
	FLAG_OUTPUT,
	FLAG_OWNER,
	FLAG_PIN,
	FLAG_PLATFORM,
	FLAG_REDACT,
	FLAG_RULE,
	FLAG_SELECTOR,
	FLAG_SIGNAL,
	FLAG_SINCE,
	FLAG_UNRESOLVED,
	FLAG_UNTIL,
	FLAG_WATCH,
	FLAG_WATCHDOG_IMAGE
};

/* What a flag's value or an argument is, for completion. */
enum manual_value {
	VALUE_ANY,
	VALUE_WORDS, /* one of words */
	VALUE_FILE,
	VALUE_DIRECTORY,
	VALUE_NAMESPACE,
	VALUE_CONTEXT,
	VALUE_AGENT,
	VALUE_CAUSE,
	VALUE_CONTAINER,
	VALUE_SUBJECT /* of lastword why */
};

struct manual_flag {
	enum flag flag;
	char letter; /* NUL: none */
	const char *name;
	const char *value; /* what it takes, as "NS"; NULL: it takes none */
	enum manual_value kind;
	const char *words; /* VALUE_WORDS: "json|yaml" */
	const char *text;
};

#define MANUAL_FLAGS_MAX 32

struct manual {
	const char *name;
	const char *summary;  /* in the list of commands */
	const char *synopsis; /* what follows the name, a line for each form */
	const char *description;
	const struct manual_flag *flags;
	size_t flag_count; /* at most MANUAL_FLAGS_MAX */
	const char *notes; /* behind the flags; NULL: none */
	const char *statuses;
	enum manual_value argument; /* VALUE_ANY: nothing to complete */
	const char *argument_words;
};

extern const struct manual manuals[];
extern const size_t manual_count;

/* What the environment says to all commands. */
struct manual_variable {
	const char *name;
	const char *text;
};
extern const struct manual_variable manual_variables[];
extern const size_t manual_variable_count;

/* What lastword is, for its own page. */
extern const char manual_description[];

/* NULL: there is no such command. */
const struct manual *manual_find(const char *name);

/* The flag of a command, by its name of length bytes or by its letter (name NULL); NULL: it has
 * none. */
const struct manual_flag *manual_find_flag(const struct manual *manual, const char *name,
                                           size_t length, char letter);

/* Appends the list of commands: lastword --help. */
void manual_write_usage(struct buffer *out);

/* Appends the text of lastword COMMAND --help. */
void manual_write_help(const struct manual *manual, struct buffer *out);

#endif
