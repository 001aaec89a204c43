/*
 * receiver_config: the observer's own configuration (docs/configuration.md): who is notified about
 * records besides the Kubernetes Events. Pure, but for receiver_config_load().
 *
 * Strict: an unknown key, a wrong type, a template with an unknown field, a key that the receiver's
 * type does not have: an error with line, column, path and what was expected. What parses here can
 * be sent, as far as a file can say so; the files that it names (tokens, CAs) are read when a
 * notification is sent, so that they may change.
 *
 * A snapshot never changes and belongs to its maker until receiver_config_free(); texts and trees
 * live as long.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_RECEIVER_CONFIG_H
#define LASTWORD_OBSERVER_RECEIVER_RECEIVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "observer/receiver/receiver_settings.h"

#define RECEIVER_CONFIG_KIND     "ObserverConfig"
#define RECEIVER_CONFIG_SIZE_MAX ((size_t)1024 * 1024)
struct receiver_config {
	struct arena *arena;
	struct receiver_settings *receivers;
	size_t receiver_count;
	char hash[17];
};

bool receiver_config_parse(const char *text, size_t length, struct receiver_config **ret_config,
                           struct error *error);
/* The error begins with the path. */
bool receiver_config_load(const char *path, struct receiver_config **ret_config,
                          struct error *error);
void receiver_config_free(struct receiver_config *config);

/* The text looks like an observer's configuration (its kind says so), right or wrong. */
bool receiver_config_is_meant(const char *text, size_t length);

/* http or https, a host, no user and no fragment, no blanks or control characters. */
bool receiver_url_check(const char *url, struct error *error);

#endif
