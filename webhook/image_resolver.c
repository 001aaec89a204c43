#include "webhook/image_resolver.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/registry/client.h"

#define TREE_MAX ((size_t)32 * 1024 * 1024)

struct image_resolver {
	struct image_resolver_options options;
	struct registry_client *client;
	pthread_t thread;
	atomic_bool stopping;
	struct log_limit log_limit;
};

static bool resolve(struct image_resolver *resolver, struct arena *arena, const char *image,
                    struct error *error)
{
	struct image_reference reference;
	struct credentials credentials = {.user = NULL};
	struct registry_image resolved;
	const char *docker_config = resolver->options.docker_config;
	if (!image_reference_parse(image, &reference, error) ||
	    (docker_config != NULL &&
	     !credentials_load(arena, docker_config, reference.registry, &credentials, error)) ||
	    !registry_resolve(resolver->client, arena, &reference, &credentials, NULL, &resolved,
	                      error))
		return false;
	const struct strings entrypoint = {resolved.config.entrypoint,
	                                   resolved.config.entrypoint_count};
	const struct strings cmd = {resolved.config.cmd, resolved.config.cmd_count};
	return image_cache_put(resolver->options.cache, image, &entrypoint, &cmd) ||
	       error_set(error, "expected a command of at most %zu bytes", IMAGE_COMMAND_MAX);
}

static void log_result(struct image_resolver *resolver, const char *image, const char *problem)
{
	uint64_t dropped;
	if (!log_limit_pass(&resolver->log_limit, &dropped))
		return;
	struct log_line line;
	log_begin(&line, problem == NULL ? LOG_INFO : LOG_WARNING,
	          problem == NULL ? "the image's command is known"
	                          : "the image's command could not be resolved");
	log_text(&line, "image", image);
	log_text(&line, "error", problem);
	if (dropped > 0)
		log_integer(&line, "dropped_lines", (int64_t)dropped);
	log_end(&line);
}

static void resolve_next(struct image_resolver *resolver, struct arena *arena, const char *image)
{
	struct error error = {""};
	bool ok = arena == NULL ? error_set(&error, "no memory")
	                        : resolve(resolver, arena, image, &error);
	if (atomic_load(&resolver->stopping))
		return;
	if (!ok)
		image_cache_fail(resolver->options.cache, image, clock_now());
	log_result(resolver, image, ok ? NULL : error.message);
	resolver->options.resolved(resolver->options.context, ok);
}

static void *run(void *argument)
{
	struct image_resolver *resolver = argument;
	while (!atomic_load(&resolver->stopping)) {
		char image[IMAGE_NAME_SIZE];
		int64_t next;
		if (image_cache_take(resolver->options.cache, clock_now(), image, &next)) {
			struct arena *_cleanup_arena_ arena = arena_new_secret(TREE_MAX);
			resolve_next(resolver, arena, image);
		} else {
			image_cache_wait(resolver->options.cache, next);
		}
	}
	return NULL;
}

bool image_resolver_start(const struct image_resolver_options *options,
                          struct image_resolver **ret_resolver, struct error *error)
{
	struct image_resolver *resolver = calloc(1, sizeof *resolver);
	if (resolver == NULL)
		return error_set(error, "no memory");
	resolver->options = *options;
	resolver->client = registry_client_new(options->ca_file);
	int number = resolver->client == NULL
	                     ? ENOMEM
	                     : pthread_create(&resolver->thread, NULL, run, resolver);
	if (number != 0) {
		registry_client_free(resolver->client);
		free(resolver);
		return error_set_errno(error, number, "starting the image resolver");
	}
	*ret_resolver = resolver;
	return true;
}

void image_resolver_stop(struct image_resolver *resolver)
{
	if (resolver == NULL)
		return;
	atomic_store(&resolver->stopping, true);
	registry_client_stop(resolver->client);
	image_cache_wake(resolver->options.cache);
	pthread_join(resolver->thread, NULL);
	registry_client_free(resolver->client);
	free(resolver);
}
