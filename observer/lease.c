#include "observer/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/document/json.h"
#include "lib/base/json_write.h"
#include "lib/base/log.h"
#include "lib/base/timestamp.h"

#define BODY_MAX ((size_t)16 * 1024)
#define TIMEOUT  (5 * SECOND)

static void step(void *context);
static void expire(void *context);

void lease_init(struct lease *lease, struct engine *engine, const char *namespace, const char *name,
                const char *identity, void (*changed)(void *context, bool leader), void *context)
{
	*lease = (struct lease){
	        .engine = engine,
	        .namespace = namespace,
	        .name = name,
	        .identity = identity,
	        .changed = changed,
	        .context = context,
	        .timer = {.fire = step, .context = lease},
	        .expiry = {.fire = expire, .context = lease},
	};
}

void lease_free(struct lease *lease)
{
	if (lease->engine == NULL)
		return;
	engine_cancel(lease->engine, lease->request);
	engine_clear_timer(lease->engine, &lease->timer);
	engine_clear_timer(lease->engine, &lease->expiry);
	lease->engine = NULL;
}

static void set_leader(struct lease *lease, bool leader)
{
	if (leader == lease->leader)
		return;
	lease->leader = leader;
	if (!leader)
		engine_clear_timer(lease->engine, &lease->expiry);
	lease->changed(lease->context, leader);
}

static void expire(void *context)
{
	log_message(LOG_WARNING, "the lease could not be renewed in time", NULL);
	set_leader(context, false);
}

/* With some jitter, so that replicas do not meet for ever. */
static void later(struct lease *lease)
{
	int64_t jitter = (int64_t)(engine_random(lease->engine) % (uint64_t)(LEASE_RETRY / 5));
	engine_set_timer(lease->engine, &lease->timer, lease->engine->now + LEASE_RETRY + jitter);
}

/* ---- What the server says ---- */

static void take_object(struct lease *lease, const json *object)
{
	const json *spec = json_get(object, "spec");
	const char *version =
	        json_get_string_or(json_get(object, "metadata"), "resourceVersion", "");
	int64_t seconds = 0;
	if (strcmp(version, lease->version) != 0)
		lease->changed_at = lease->engine->now;
	snprintf(lease->version, sizeof lease->version, "%s", version);
	snprintf(lease->holder, sizeof lease->holder, "%s",
	         json_get_string_or(spec, "holderIdentity", ""));
	if (!json_integer(json_get(spec, "leaseDurationSeconds"), &seconds) || seconds < 0 ||
	    seconds > 3600)
		seconds = LEASE_DURATION / SECOND;
	lease->duration = seconds * SECOND;
	if (!json_integer(json_get(spec, "leaseTransitions"), &lease->transitions))
		lease->transitions = 0;
}

static bool parse(struct lease *lease, const struct kube_response *response)
{
	json *object;
	struct arena *_cleanup_arena_ arena = arena_new(0);
	if (arena == NULL || json_parse(arena, buffer_text(&response->body), response->body.length,
	                                0, &object, NULL) == JSON_INVALID)
		return false;
	take_object(lease, object);
	return true;
}

/* ---- Asking ---- */

static char *path(const struct lease *lease, bool named)
{
	return engine_text("/apis/coordination.k8s.io/v1/namespaces/%s/leases%s%s",
	                   lease->namespace, named ? "/" : "", named ? lease->name : "");
}

static void ask(struct lease *lease, const char *method, struct buffer *body,
                request_finish *finish)
{
	size_t length = body == NULL ? 0 : body->length;
	const struct request request = {
	        .ask = {.method = method,
	                .path = path(lease, method == NULL || strcmp(method, "POST") != 0),
	                .body = body == NULL ? NULL : buffer_steal(body),
	                .body_length = length,
	                .timeout = TIMEOUT},
	        .rank = REQUEST_URGENT,
	        .finish = finish,
	        .context = lease,
	};
	lease->request = engine_request(lease->engine, &request);
	if (lease->request == NULL)
		later(lease);
}

static void write_object(const struct lease *lease, const char *holder, int64_t duration,
                         struct buffer *out)
{
	struct json_writer writer;
	char now[TIMESTAMP_SIZE];
	char acquired[TIMESTAMP_SIZE];
	bool ours = strcmp(lease->holder, lease->identity) == 0;
	timestamp_print(lease->engine->wall, now);
	timestamp_print(lease->acquired_at, acquired);
	json_writer_init(&writer, out);
	json_write_object_begin(&writer);
	json_write_member(&writer, "apiVersion", "coordination.k8s.io/v1");
	json_write_member(&writer, "kind", "Lease");
	json_write_key(&writer, "metadata");
	json_write_object_begin(&writer);
	json_write_member(&writer, "name", lease->name);
	json_write_member(&writer, "namespace", lease->namespace);
	if (lease->version[0] != '\0')
		json_write_member(&writer, "resourceVersion", lease->version);
	json_write_object_end(&writer);
	json_write_key(&writer, "spec");
	json_write_object_begin(&writer);
	json_write_member(&writer, "holderIdentity", holder);
	json_write_member_integer(&writer, "leaseDurationSeconds", duration / SECOND);
	json_write_member(&writer, "acquireTime", ours ? acquired : now);
	json_write_member(&writer, "renewTime", now);
	json_write_member_integer(&writer, "leaseTransitions", lease->transitions + (ours ? 0 : 1));
	json_write_object_end(&writer);
	json_write_object_end(&writer);
}

static void written(void *context, struct kube_response *response, const struct error *error)
{
	struct lease *lease = context;
	lease->request = NULL;
	later(lease);
	if (error != NULL || !parse(lease, response)) {
		/* Somebody else was faster, or nobody knows: look again at the next turn. */
		lease->known = false;
		return;
	}
	engine_set_timer(lease->engine, &lease->expiry, lease->renewed_at + LEASE_RENEW);
	set_leader(lease, true);
}

static void take(struct lease *lease)
{
	struct buffer body;
	buffer_init(&body, BODY_MAX);
	if (!lease->leader)
		lease->acquired_at = lease->engine->wall;
	write_object(lease, lease->identity, LEASE_DURATION, &body);
	lease->renewed_at = lease->engine->now;
	ask(lease, lease->version[0] == '\0' ? "POST" : "PUT", &body, written);
}

static bool is_free(const struct lease *lease)
{
	return lease->version[0] == '\0' || lease->holder[0] == '\0' ||
	       strcmp(lease->holder, lease->identity) == 0 ||
	       lease->engine->now - lease->changed_at >= lease->duration;
}

static void seen(void *context, struct kube_response *response, const struct error *error)
{
	struct lease *lease = context;
	lease->request = NULL;
	if (error != NULL && response->status == 404)
		lease->version[0] = lease->holder[0] = '\0';
	else if (error != NULL || !parse(lease, response)) {
		later(lease);
		return;
	}
	lease->known = true;
	if (is_free(lease)) {
		take(lease);
		return;
	}
	set_leader(lease, false);
	later(lease);
}

static void step(void *context)
{
	struct lease *lease = context;
	if (lease->request != NULL || lease->releasing)
		return;
	if (lease->leader && lease->known)
		take(lease);
	else
		ask(lease, NULL, NULL, seen);
}

void lease_start(struct lease *lease)
{
	engine_set_timer(lease->engine, &lease->timer, lease->engine->now);
}

static void released(void *context, struct kube_response *response, const struct error *error)
{
	struct lease *lease = context;
	(void)response;
	(void)error;
	lease->request = NULL;
}

void lease_release(struct lease *lease)
{
	struct buffer body;
	bool was_leader = lease->leader;
	engine_cancel(lease->engine, lease->request);
	engine_clear_timer(lease->engine, &lease->timer);
	lease->request = NULL;
	lease->releasing = true;
	set_leader(lease, false);
	if (!was_leader || !lease->known)
		return;
	buffer_init(&body, BODY_MAX);
	write_object(lease, "", SECOND, &body);
	ask(lease, "PUT", &body, released);
}
