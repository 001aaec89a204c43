/*
 * server: the webhook's HTTP side. POST /mutate over TLS; /metrics, /healthz and /readyz on a
 * plain port of their own.
 *
 * It owns the configuration that is in force: a snapshot with a reference count, swapped as a
 * whole, so that each review is decided with one configuration from beginning to end.
 *
 * Ready means: a configuration is in force, the certificate in use is valid now, nobody has named
 * an obstacle, and the server is not draining. Every function is thread-safe, but for start and
 * stop.
 */
#ifndef LASTWORD_WEBHOOK_SERVER_H
#define LASTWORD_WEBHOOK_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "webhook/config.h"

struct image_cache;
struct webhook_server;

struct webhook_options {
	const char *listen;  /* HOST:PORT of the webhook */
	const char *metrics; /* HOST:PORT of the plain port */
	unsigned threads;
	struct image_cache *images; /* what registries say of images; outlives the server */
};

bool webhook_start(const struct webhook_options *options, struct webhook_server **ret_server,
                   struct error *error);

/* Where the webhook and the plain port really listen. */
const char *webhook_address(const struct webhook_server *server);
const char *webhook_metrics_address(const struct webhook_server *server);

/* Puts a configuration in force; the server owns it from now on. */
void webhook_set_config(struct webhook_server *server, struct config *config);

/* Counts a configuration that was refused. */
void webhook_config_failed(struct webhook_server *server);

/* See http_server_set_identity(). */
bool webhook_set_identity(struct webhook_server *server, const char *chain_pem, const char *key_pem,
                          struct error *error);

/* Why the webhook is not ready for reasons of its owner's, a line of text; NULL: it is. Copied. */
void webhook_set_obstacle(struct webhook_server *server, const char *text);

/* What happened to certificates that the program makes itself. */
enum webhook_rotation {
	WEBHOOK_ROTATION_CERTIFICATE, /* another one is in use */
	WEBHOOK_ROTATION_CA,          /* this replica has made one */
	WEBHOOK_ROTATIONS,
};
void webhook_count_rotation(struct webhook_server *server, enum webhook_rotation rotation);
void webhook_count_certificate_failure(struct webhook_server *server);

/* Counts an image that a registry was asked about. */
void webhook_count_image_resolution(struct webhook_server *server, bool ok);

/* The API server's version, 1.minor; 0: unknown. */
void webhook_set_server_minor(struct webhook_server *server, unsigned minor);

/* Not ready from now on, and every response closes its connection. */
void webhook_drain(struct webhook_server *server);

/* Ends: no new connections, then at most so long for the requests in flight. NULL is fine. */
void webhook_stop(struct webhook_server *server, unsigned seconds);

#endif
