#include "lib/registry/client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/http/client.h"
#include "lib/http/url.h"
#include "lib/registry/challenge.h"
#include "lib/registry/digest.h"

#define REQUEST_TIMEOUT (20 * SECOND)
#define REQUEST_IDLE    (5 * SECOND)
#define DOCUMENT_MAX    ((size_t)4 * 1024 * 1024)
#define URL_MAX         ((size_t)4096)
#define FORM_MAX        ((size_t)128 * 1024)

struct registry_client {
	struct http_client *http;
	struct buffer token; /* of the repository that is being resolved; empty: none yet */
	bool basic;          /* the registry takes user and password themselves */
	atomic_bool stopped;
};

struct registry_client *registry_client_new(const char *ca_file)
{
	struct registry_client *client = calloc(1, sizeof *client);
	if (client == NULL)
		return NULL;
	buffer_init_secret(&client->token, DOCUMENT_MAX);
	client->http = http_client_new_outside(ca_file);
	if (client->http == NULL) {
		registry_client_free(client);
		return NULL;
	}
	return client;
}

void registry_client_free(struct registry_client *client)
{
	if (client == NULL)
		return;
	http_client_free(client->http);
	buffer_free(&client->token);
	free(client);
}

void registry_client_stop(struct registry_client *client)
{
	atomic_store(&client->stopped, true);
	http_client_wake(client->http);
}

/* ---- One request ---- */

struct exchange {
	struct buffer *body;
	bool finished;
	long status;
	char problem[256];
	char authenticate[2048];
};

static bool receive(void *context, long status, const char *bytes, size_t length)
{
	struct exchange *exchange = context;
	(void)status;
	buffer_append(exchange->body, bytes, length);
	return buffer_ok(exchange->body);
}

static void finish(void *context, const struct http_result *result)
{
	struct exchange *exchange = context;
	exchange->finished = true;
	exchange->status = result->status;
	if (result->problem != NULL)
		snprintf(exchange->problem, sizeof exchange->problem, "%s", result->problem);
	if (result->authenticate != NULL)
		snprintf(exchange->authenticate, sizeof exchange->authenticate, "%s",
		         result->authenticate);
}

/* Carries out the order. True: there was a complete response, of whatever status. */
static bool carry_out(struct registry_client *client, struct http_order *order,
                      struct exchange *exchange, struct error *error)
{
	order->timeout = REQUEST_TIMEOUT;
	order->idle_timeout = REQUEST_IDLE;
	order->receive = receive;
	order->finish = finish;
	order->context = exchange;
	struct http_exchange *started = http_client_start(client->http, order);
	if (started == NULL)
		return error_set(error, "%s: no memory", order->url);
	while (!exchange->finished && !atomic_load(&client->stopped))
		http_client_run(client->http, SECOND);
	if (!exchange->finished) {
		http_exchange_cancel(started);
		return error_set(error, "%s: stopped", order->url);
	}
	if (!buffer_ok(exchange->body))
		return error_set(error, "%s: expected at most %zu bytes", order->url, DOCUMENT_MAX);
	if (exchange->problem[0] != '\0')
		return error_set(error, "%s: %s", order->url, exchange->problem);
	return true;
}

/* ---- Tokens ---- */

static bool keep_token(struct registry_client *client, struct arena *arena,
                       const struct buffer *body, struct error *error)
{
	json *root;
	if (json_parse(arena, buffer_text(body), body->length, 0, &root, error) != JSON_FAITHFUL)
		return false;
	const char *token =
	        json_get_string_or(root, "token", json_get_string_or(root, "access_token", ""));
	if (token[0] == '\0')
		return error_set(error, "expected a token in the response");
	buffer_clear(&client->token);
	buffer_append_text(&client->token, token);
	return buffer_ok(&client->token) || error_set(error, "the token is too long");
}

static void append_parameter(struct buffer *out, char separator, const char *name,
                             const char *value)
{
	if (value[0] == '\0')
		return;
	buffer_append_char(out, separator);
	buffer_printf(out, "%s=", name);
	url_escape(out, value);
}

/* An identity token is exchanged by a form (OAuth 2), user and password by a GET. */
static bool fetch_token(struct registry_client *client, struct arena *arena,
                        const struct challenge *challenge, const struct credentials *credentials,
                        const char *scope, struct error *error)
{
	struct buffer _cleanup_buffer_ url;
	struct buffer _cleanup_buffer_ form;
	struct buffer _cleanup_buffer_ body;
	struct exchange exchange = {.body = &body};
	bool exchanged = credentials->identity_token != NULL;
	struct http_order order = {.method = exchanged ? "POST" : "GET"};
	buffer_init(&url, URL_MAX);
	buffer_init_secret(&form, FORM_MAX);
	buffer_init_secret(&body, DOCUMENT_MAX);
	buffer_append_text(&url, challenge->realm);
	if (exchanged) {
		buffer_append_text(&form, "grant_type=refresh_token&client_id=lastword");
		append_parameter(&form, '&', "refresh_token", credentials->identity_token);
		append_parameter(&form, '&', "service", challenge->service);
		append_parameter(&form, '&', "scope", scope);
		order.content_type = "application/x-www-form-urlencoded";
		order.body = buffer_text(&form);
		order.body_length = form.length;
	} else {
		char separator = strchr(challenge->realm, '?') == NULL ? '?' : '&';
		append_parameter(&url, separator, "scope", scope);
		append_parameter(&url, '&', "service", challenge->service);
		order.user = credentials->user;
		order.password = credentials->password;
	}
	if (!buffer_ok(&url) || !buffer_ok(&form))
		return error_set(error, "%s: the request is too long", challenge->realm);
	order.url = buffer_text(&url);
	if (!carry_out(client, &order, &exchange, error))
		return false;
	if (exchange.status != 200)
		return error_set(error, "%s: expected a token, got status %ld%s", challenge->realm,
		                 exchange.status,
		                 exchange.status == 401 ? ": the credentials are not accepted"
		                                        : "");
	if (!keep_token(client, arena, &body, error))
		return error_wrap(error, "%s", challenge->realm);
	return true;
}

/* After a 401: gets what the registry wants to see. */
static bool authenticate(struct registry_client *client, struct arena *arena,
                         const struct image_reference *reference,
                         const struct credentials *credentials, const char *header,
                         struct error *error)
{
	struct challenge challenge;
	char scope[REFERENCE_PATH_SIZE + 32];
	if (!challenge_parse(header, &challenge, error))
		return false;
	if (challenge.scheme == CHALLENGE_BASIC) {
		if (credentials->user == NULL)
			return error_set(error, "the registry wants a user and a password");
		client->basic = true;
		return true;
	}
	snprintf(scope, sizeof scope, "repository:%s:pull", reference->path);
	return fetch_token(client, arena, &challenge, credentials, scope, error);
}

/* ---- Documents ---- */

struct resolution {
	struct registry_client *client;
	struct arena *arena;
	const struct image_reference *reference;
	const struct credentials *credentials;
};

static bool request(const struct resolution *resolution, const char *url, bool manifest,
                    struct exchange *exchange, struct error *error)
{
	struct registry_client *client = resolution->client;
	struct http_order order = {
	        .method = "GET",
	        .url = url,
	        .accept = manifest ? IMAGE_ACCEPT : NULL,
	        .bearer = client->token.length > 0 ? buffer_text(&client->token) : NULL,
	        .user = client->basic ? resolution->credentials->user : NULL,
	        .password = resolution->credentials->password,
	        .follow_redirects = true,
	};
	buffer_clear(exchange->body);
	return carry_out(client, &order, exchange, error);
}

/* kind: "manifests" or "blobs". ret_digest: what the document has; where name is a digest, it is
 * that one. */
static bool fetch(const struct resolution *resolution, const char *kind, const char *name,
                  struct buffer *body, char ret_digest[REFERENCE_DIGEST_SIZE], struct error *error)
{
	char url[URL_MAX];
	struct exchange exchange = {.body = body};
	bool manifest = strcmp(kind, "manifests") == 0;
	snprintf(url, sizeof url, "https://%s/v2/%s/%s/%s", resolution->reference->host,
	         resolution->reference->path, kind, name);
	if (!request(resolution, url, manifest, &exchange, error))
		return false;
	if (exchange.status == 401) {
		const char *header =
		        exchange.authenticate[0] != '\0' ? exchange.authenticate : NULL;
		if (!authenticate(resolution->client, resolution->arena, resolution->reference,
		                  resolution->credentials, header, error))
			return false;
		exchange = (struct exchange){.body = body};
		if (!request(resolution, url, manifest, &exchange, error))
			return false;
	}
	if (exchange.status != 200)
		return error_set(error, "%s: expected status 200, got %ld%s", url, exchange.status,
		                 exchange.status == 404   ? ": there is no such image"
		                 : exchange.status == 401 ? ": it wants other credentials"
		                 : exchange.status == 429 ? ": too many requests, try again later"
		                                          : "");
	if (!image_digest(buffer_text(body), body->length, ret_digest))
		return error_set(error, "%s: the digest could not be computed", url);
	if (image_digest_is_valid(name) && strcmp(name, ret_digest) != 0)
		return error_set(error, "%s: the content has the digest %s", url, ret_digest);
	return true;
}

static bool fetch_manifest(const struct resolution *resolution, const char *name,
                           struct image_manifest *ret_manifest,
                           char ret_digest[REFERENCE_DIGEST_SIZE], struct error *error)
{
	struct buffer _cleanup_buffer_ body;
	buffer_init(&body, DOCUMENT_MAX);
	if (!fetch(resolution, "manifests", name, &body, ret_digest, error))
		return false;
	if (!image_manifest_read(resolution->arena, buffer_text(&body), body.length, ret_manifest,
	                         error))
		return error_wrap(error, "the manifest %s", name);
	return true;
}

static bool fetch_config(const struct resolution *resolution, const char *digest,
                         struct image_config *ret_config, struct error *error)
{
	struct buffer _cleanup_buffer_ body;
	char found[REFERENCE_DIGEST_SIZE];
	buffer_init(&body, DOCUMENT_MAX);
	if (!fetch(resolution, "blobs", digest, &body, found, error))
		return false;
	if (!image_config_read(resolution->arena, buffer_text(&body), body.length, ret_config,
	                       error))
		return error_wrap(error, "the configuration %s", digest);
	return true;
}

static bool is_wanted(const char *os, const char *architecture, const char *wanted)
{
	char name[128];
	snprintf(name, sizeof name, "%.60s/%.60s", os, architecture);
	if (wanted != NULL)
		return strcmp(name, wanted) == 0;
	return strcmp(name, "linux/amd64") == 0 || strcmp(name, "linux/arm64") == 0;
}

static bool resolve_index(const struct resolution *resolution, const struct image_manifest *index,
                          const char *wanted, struct image_config *ret_config, struct error *error)
{
	const struct image_platform *first = NULL;
	for (size_t i = 0; i < index->platform_count; i++) {
		const struct image_platform *platform = &index->platforms[i];
		struct image_manifest manifest;
		struct image_config config;
		char digest[REFERENCE_DIGEST_SIZE];
		if (!is_wanted(platform->os, platform->architecture, wanted))
			continue;
		if (!fetch_manifest(resolution, platform->digest, &manifest, digest, error))
			return false;
		if (manifest.config_digest == NULL)
			return error_set(error, "%s: expected a manifest, found another index",
			                 platform->digest);
		if (!fetch_config(resolution, manifest.config_digest, &config, error))
			return false;
		if (first != NULL && !image_config_equal(&config, ret_config))
			return error_set(
			        error,
			        "the command on %s/%s differs from that on %s/%s: choose with "
			        "--platform",
			        platform->os, platform->architecture, first->os,
			        first->architecture);
		first = first == NULL ? platform : first;
		*ret_config = config;
	}
	if (first == NULL)
		return error_set(error, "the image has no manifest for %s",
		                 wanted == NULL ? "linux/amd64 or linux/arm64" : wanted);
	return true;
}

bool registry_resolve(struct registry_client *client, struct arena *arena,
                      const struct image_reference *reference,
                      const struct credentials *credentials, const char *platform,
                      struct registry_image *ret_image, struct error *error)
{
	const struct resolution resolution = {client, arena, reference, credentials};
	struct registry_image image = {.digest = ""};
	struct image_manifest manifest;
	const char *name = reference->digest[0] != '\0' ? reference->digest : reference->tag;
	buffer_clear(&client->token);
	client->basic = false;
	if (!fetch_manifest(&resolution, name, &manifest, image.digest, error))
		return false;
	if (manifest.config_digest == NULL) {
		if (!resolve_index(&resolution, &manifest, platform, &image.config, error))
			return false;
	} else {
		const struct image_config *config = &image.config;
		if (!fetch_config(&resolution, manifest.config_digest, &image.config, error))
			return false;
		if (platform != NULL && !is_wanted(config->os, config->architecture, platform))
			return error_set(error, "the image is for %.60s/%.60s only", config->os,
			                 config->architecture);
	}
	*ret_image = image;
	return true;
}
