/*
 * server: serves POST /mutate over TLS, and /metrics, /healthz and /readyz on a port without TLS.
 *
 * The server owns the configuration in force: a snapshot with a reference count that is replaced as
 * a whole, so each review is decided with one configuration from beginning to end.
 *
 * The server is ready when a configuration is in force, the certificate in use is valid, no
 * obstacle is set, and it is not draining. Every function is thread-safe, except start and stop.
 */
#ifndef LASTWORD_WEBHOOK_SERVER_H
#define LASTWORD_WEBHOOK_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "webhook/config.h"

struct breaker_table;
struct image_cache;
struct webhook_server;

struct webhook_options {
	const char *listen;  /* HOST:PORT of the webhook */
	const char *metrics; /* HOST:PORT of the plain port */
	unsigned threads;
	struct image_cache *images;    /* what registries say of images; outlives the server */
	struct breaker_table *breaker; /* likewise; NULL: there is none */
};

bool webhook_start(const struct webhook_options *options, struct webhook_server **ret_server,
                   struct error *error);

/* The addresses that the webhook and the metrics port listen on, with the real ports. */
const char *webhook_address(const struct webhook_server *server);
const char *webhook_metrics_address(const struct webhook_server *server);

/* Puts a configuration in force; the server owns it from now on. */
void webhook_set_config(struct webhook_server *server, struct config *config);

/* Counts a configuration that was refused. */
void webhook_config_failed(struct webhook_server *server);

/* See http_server_set_identity(). */
bool webhook_set_identity(struct webhook_server *server, const char *chain_pem, const char *key_pem,
                          struct error *error);

/* Sets why the webhook is not ready, a line of text that is copied; NULL: there is no obstacle. */
void webhook_set_obstacle(struct webhook_server *server, const char *text);

/* What happens to certificates that the program issues itself. */
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

/* From now on the webhook is not ready, and every response closes its connection. */
void webhook_drain(struct webhook_server *server);

/* Accepts no more connections, waits at most that long for the requests in flight, and frees the
 * server. NULL is fine. */
void webhook_stop(struct webhook_server *server, unsigned seconds);

#endif
