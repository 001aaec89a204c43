/*
 * image_resolver: a thread that asks registries what the images run that reviews want to know of.
 *
 * It takes one image after the other from the cache and puts there what it learns. Nothing waits
 * for this thread; a registry that does not respond delays what is known of other images, no
 * review.
 *
 * Which images may be asked for is the configuration's (resolveImages): reviews put no others into
 * the cache, so that nobody can make the webhook talk to a host of their choice.
 */
#ifndef LASTWORD_WEBHOOK_IMAGE_RESOLVER_H
#define LASTWORD_WEBHOOK_IMAGE_RESOLVER_H

#include <stdbool.h>

#include "lib/base/error.h"
#include "webhook/image_cache.h"

struct image_resolver;

struct image_resolver_options {
	const char *docker_config; /* path of a config.json, read each time; NULL: anonymous */
	const char *ca_file;       /* PEM; NULL: the system's CAs */
	struct image_cache *cache; /* outlives the resolver */
	void (*resolved)(void *context, bool ok); /* on the thread; for a metric */
	void *context;
};

/* Texts of the options live as long as the resolver. */
bool image_resolver_start(const struct image_resolver_options *options,
                          struct image_resolver **ret_resolver, struct error *error);
/* Breaks off what is under way. NULL is fine. */
void image_resolver_stop(struct image_resolver *resolver);

#endif
