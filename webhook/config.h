/*
 * config: reads the platform admin's configuration into an immutable snapshot.
 *
 * The YAML is read strictly: an unknown key, a wrong type or a bad value is an error with line,
 * column and what was expected. manifests/base/config.yaml is the shipped default;
 * docs/configuration.md is the reference.
 *
 * A snapshot belongs to its maker until config_free(). It never changes, so any number of threads
 * may read it. Strings and lists live as long as the snapshot.
 */
#ifndef LASTWORD_WEBHOOK_CONFIG_H
#define LASTWORD_WEBHOOK_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "webhook/sidecar_config.h"
#include "lib/document/strings.h"

/* A larger file is refused. */
#define CONFIG_SIZE_MAX ((size_t)1024 * 1024)

/* Where a field of the report comes from. */
enum context_source { CONTEXT_LABEL, CONTEXT_ANNOTATION, CONTEXT_ENV };
struct context_field {
	const char *name;
	enum context_source source;
	const char *key;
};

/* What an image runs when the pod names no command. */
struct image_command {
	const char *image; /* glob */
	struct strings entrypoint;
	struct strings cmd;
};

enum selector_operator { SELECTOR_IN, SELECTOR_NOT_IN, SELECTOR_EXISTS, SELECTOR_NOT_EXISTS };
struct selector_expression {
	const char *key;
	enum selector_operator operator;
	struct strings values;
};

enum end_action { ACTION_REPORT, ACTION_KILL };

/* Options that are passed to the shim as flags; a pod's annotations may override each. */
struct shim_options {
	int64_t deadline;      /* nanoseconds; 0: none */
	int64_t silence_after; /* nanoseconds; 0: none */
	enum end_action on_deadline;
	enum end_action on_silence;
	const char *done_file;    /* absolute path or NULL */
	const char *flush_signal; /* SIGUSR1 … or NULL */
};

struct rule {
	const char *name;
	bool shadow;
	struct strings namespaces; /* globs; none: every namespace */
	struct selector_expression *selector;
	size_t selector_count;
	struct strings names; /* globs of the agent containers; none: select.h finds them */
	bool keep_termination_message_policy;
	struct resources resources;
	bool has_sidecar_resources; /* else those of the configuration's sidecar */
	struct resources sidecar_resources;
	bool shim_off;
	bool fail_when_silent; /* onSilentExit: fail-pod */
	struct shim_options shim;
};

struct config {
	struct sidecar_config sidecar;
	struct context_field *context;
	size_t context_count;
	struct strings automatic_default_containers; /* labels and annotations: see select.h */
	struct strings parsed_messages; /* globs of terminationMessagePaths that a program reads */
	struct strings known_sidecars;  /* globs of container names that are never the agent */
	struct strings init_systems;    /* globs of commands that insist on being PID 1 */
	struct strings
	        runtime_classes; /* globs; a pod with another runtimeClassName is not wrapped */
	struct strings resolve_images; /* globs: images that registries may be asked about */
	struct image_command *images;
	size_t image_count;
	struct strings diagnosis_rules; /* rules of lib/diagnosis/rule.h, checked */
	struct strings redact;          /* patterns of lib/diagnosis/redact, checked */
	struct rule *rules;
	size_t rule_count;
	size_t lookups; /* how often rules and context look something up in a pod */
	char hash[17];  /* of the file's bytes, hexadecimal: names the snapshot in decision records
	                 */

	struct arena *arena; /* owns all of the above */
};

/* Reads a configuration from text. error names line, column, key and what was expected. */
bool config_parse(const char *text, size_t length, struct config **ret_config, struct error *error);

/* config_parse() of a file; the error begins with the path. */
bool config_load(const char *path, struct config **ret_config, struct error *error);

/* Where the configuration names no image of the watchdog, it is this one. image: a text that
 * outlives the snapshot; NULL: nothing changes. Called before the snapshot is shared with other
 * threads. */
void config_set_default_image(struct config *config, const char *image);

/* NULL is fine. */
void config_free(struct config *config);

#endif
