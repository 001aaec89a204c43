/*
 * exit_records: AgentExits for exits and why, from the API server (page by page, through kubectl)
 * or from a file.
 */
#ifndef LASTWORD_CLI_EXIT_RECORDS_H
#define LASTWORD_CLI_EXIT_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/kubectl.h"
#include "lib/base/buffer.h"
#include "lib/base/error.h"
#include "lib/document/json.h"
#include "lib/kube/agent_exit.h"

/* Where to look. */
struct exit_source {
	const char *path; /* a file, "-" for standard input; NULL: the API server */
	struct kubectl kubectl;
	const char *namespace; /* NULL: all */
	const char *selector;  /* of labels; NULL: none. Not for files */
};

/* What a list shows of a record; texts are the list's own. */
struct exit_row {
	int64_t time; /* of the termination, else of the record; nanoseconds since 1970; 0: unknown
	               */
	const char *name;
	const char *namespace;
	const char *pod;
	const char *container;
	const char *error_type;
	const char *summary;
	const char *agent;
	const char *task_id;
	const char *owner;
	const char *node;
	const char *source;
	const char *fingerprint;
	int64_t exit_code;
	int64_t restart_count;
	const char *silent; /* status of the condition Silent; "": there is none */
	int64_t resolved_at;
	const char *json; /* the whole object, where it was asked for */
};

struct exit_list {
	struct arena *arena;
	struct exit_row *rows;
	size_t count;
	size_t capacity;
	size_t unreadable;              /* items that are no AgentExit */
	struct buffer resource_version; /* the API server's, of the list; else empty */
};

/* true: the record is kept. exit and its texts are gone after the call. */
typedef bool (*exit_filter)(void *context, const struct agent_exit *exit);

/* Which records become rows. */
struct exit_choice {
	exit_filter filter;
	void *context; /* the filter's */
	bool keep_json;
};

/* All records that are chosen, the newest last. The caller frees the list whether it succeeded or
 * not. */
bool exit_list_load(const struct exit_source *source, const struct exit_choice *choice,
                    struct exit_list *list, struct error *error);
void exit_list_free(struct exit_list *list);
#define _cleanup_exit_list_ __attribute__((cleanup(exit_list_free)))

/* Forgets the rows and their texts. */
void exit_list_clear(struct exit_list *list);

/* Adds one object to a list that was loaded: a row, where it is chosen. */
bool exit_list_add(struct exit_list *list, const struct exit_choice *choice, const json *object,
                   struct error *error);

/* Appends the path of the source's records at the API server, with that query and more. */
void exit_source_path(const struct exit_source *source, const char *query, struct buffer *path);

/* The time of the termination, else of the record; 0: unknown. */
int64_t exit_time(const struct agent_exit *exit);

#endif
