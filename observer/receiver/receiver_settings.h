/*
 * receiver_settings: what the observer's configuration says of one receiver. Types alone; texts and
 * trees are those of the configuration (receiver_config.h).
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_RECEIVER_SETTINGS_H
#define LASTWORD_OBSERVER_RECEIVER_RECEIVER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/document/json.h"
#include "lib/document/strings.h"

#define RECEIVERS_MAX        12 /* each has an entry in status.notifications, which has 16 */
#define RECEIVER_HEADERS_MAX 16
#define RECEIVER_NAME_MAX    63

enum receiver_type {
	RECEIVER_WEBHOOK,
	RECEIVER_OTLP,
	RECEIVER_ALERTMANAGER,
	RECEIVER_LOKI,
	RECEIVER_CLOUDEVENTS
};

/* A text, or the file that has it: one of the two is NULL. */
struct receiver_value {
	const char *name;
	const char *value;
	const char *value_file;
};

struct receiver_values {
	struct receiver_value *items;
	size_t count;
};

/* Of which records the receiver is notified; all conditions must hold. */
struct receiver_filter {
	struct strings namespaces; /* globs; none: all */
	struct strings causes;     /* none: all */
	bool silent_only;          /* when the silence is confirmed; not at the termination */
	bool resolved;             /* also when it is over */
};

struct receiver_settings {
	const char *name;
	enum receiver_type type;
	const char *type_name;     /* static */
	struct receiver_value url; /* its name is NULL */
	struct receiver_values headers;
	const char *bearer_token_file; /* NULL: none */
	const char *ca_file;           /* NULL: the system's CAs */
	int64_t timeout;               /* nanoseconds, for a request */
	struct receiver_filter filter;
	struct receiver_values labels; /* added to what is sent; their values are no files */
	/* RECEIVER_WEBHOOK */
	const char *preset;
	const json *body; /* the template, as template.h has it */
	struct receiver_values parameters;
	/* RECEIVER_ALERTMANAGER */
	int64_t resolve_after; /* nanoseconds: an alert ends at the latest after so long */
	/* RECEIVER_CLOUDEVENTS */
	bool binary;
};

#endif
