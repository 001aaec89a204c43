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

void lease_init(struct lease *lease, struct event_loop *loop, const char *namespace,
                const char *name, const char *identity, void (*changed)(void *context, bool leader),
                void *context)
{
	*lease = (struct lease){
	        .loop = loop,
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
	if (lease->loop == NULL)
		return;
	event_loop_cancel_request(lease->loop, lease->request);
	event_loop_clear_timer(lease->loop, &lease->timer);
	event_loop_clear_timer(lease->loop, &lease->expiry);
	lease->loop = NULL;
}

static void set_leader(struct lease *lease, bool leader)
{
	if (leader == lease->leader)
		return;
	lease->leader = leader;
	if (!leader)
		event_loop_clear_timer(lease->loop, &lease->expiry);
	lease->changed(lease->context, leader);
}

static void expire(void *context)
{
	log_message(LOG_WARNING, "the Lease could not be renewed in time", NULL);
	set_leader(context, false);
}

/* With jitter, so that replicas do not collide every time. */
static void schedule(struct lease *lease)
{
	int64_t jitter = (int64_t)(event_loop_random(lease->loop) % (uint64_t)(LEASE_RETRY / 5));
	event_loop_set_timer(lease->loop, &lease->timer, lease->loop->now + LEASE_RETRY + jitter);
}

/* ---- Reading the object ---- */

static void take_object(struct lease *lease, const json *object)
{
	const json *spec = json_get(object, "spec");
	const char *version =
	        json_get_string_or(json_get(object, "metadata"), "resourceVersion", "");
	int64_t seconds = 0;
	if (strcmp(version, lease->version) != 0)
		lease->changed_at = lease->loop->now;
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

/* ---- Requests ---- */

static char *path(const struct lease *lease, bool named)
{
	return request_path("/apis/coordination.k8s.io/v1/namespaces/%s/leases%s%s",
	                    lease->namespace, named ? "/" : "", named ? lease->name : "");
}

static void send_request(struct lease *lease, const char *method, struct buffer *body,
                         request_finish *finish)
{
	size_t length = body == NULL ? 0 : body->length;
	const struct request request = {
	        .kube = {.method = method,
	                 .path = path(lease, method == NULL || strcmp(method, "POST") != 0),
	                 .body = body == NULL ? NULL : buffer_steal(body),
	                 .body_length = length,
	                 .timeout = TIMEOUT},
	        .priority = REQUEST_URGENT,
	        .finish = finish,
	        .context = lease,
	};
	lease->request = event_loop_add_request(lease->loop, &request);
	if (lease->request == NULL)
		schedule(lease);
}

static void write_object(const struct lease *lease, const char *holder, int64_t duration,
                         struct buffer *out)
{
	struct json_writer writer;
	char now[TIMESTAMP_SIZE];
	char acquired[TIMESTAMP_SIZE];
	bool is_holder = strcmp(lease->holder, lease->identity) == 0;
	timestamp_print(lease->loop->wall, now);
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
	json_write_member(&writer, "acquireTime", is_holder ? acquired : now);
	json_write_member(&writer, "renewTime", now);
	json_write_member_integer(&writer, "leaseTransitions",
	                          lease->transitions + (is_holder ? 0 : 1));
	json_write_object_end(&writer);
	json_write_object_end(&writer);
}

static void written(void *context, struct kube_response *response, const struct error *error)
{
	struct lease *lease = context;
	lease->request = NULL;
	schedule(lease);
	if (error != NULL || !parse(lease, response)) {
		/* Another replica was faster, or the result is not known: read the object again. */
		lease->known = false;
		return;
	}
	event_loop_set_timer(lease->loop, &lease->expiry, lease->renewed_at + LEASE_RENEW);
	set_leader(lease, true);
}

static void take(struct lease *lease)
{
	struct buffer body;
	buffer_init(&body, BODY_MAX);
	if (!lease->leader)
		lease->acquired_at = lease->loop->wall;
	write_object(lease, lease->identity, LEASE_DURATION, &body);
	lease->renewed_at = lease->loop->now;
	send_request(lease, lease->version[0] == '\0' ? "POST" : "PUT", &body, written);
}

static bool is_free(const struct lease *lease)
{
	return lease->version[0] == '\0' || lease->holder[0] == '\0' ||
	       strcmp(lease->holder, lease->identity) == 0 ||
	       lease->loop->now - lease->changed_at >= lease->duration;
}

static void seen(void *context, struct kube_response *response, const struct error *error)
{
	struct lease *lease = context;
	lease->request = NULL;
	if (error != NULL && response->status == 404)
		lease->version[0] = lease->holder[0] = '\0';
	else if (error != NULL || !parse(lease, response)) {
		schedule(lease);
		return;
	}
	lease->known = true;
	if (is_free(lease)) {
		take(lease);
		return;
	}
	set_leader(lease, false);
	schedule(lease);
}

static void step(void *context)
{
	struct lease *lease = context;
	if (lease->request != NULL || lease->releasing)
		return;
	if (lease->leader && lease->known)
		take(lease);
	else
		send_request(lease, NULL, NULL, seen);
}

void lease_start(struct lease *lease)
{
	event_loop_set_timer(lease->loop, &lease->timer, lease->loop->now);
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
	event_loop_cancel_request(lease->loop, lease->request);
	event_loop_clear_timer(lease->loop, &lease->timer);
	lease->request = NULL;
	lease->releasing = true;
	set_leader(lease, false);
	if (!was_leader || !lease->known)
		return;
	buffer_init(&body, BODY_MAX);
	write_object(lease, "", SECOND, &body);
	send_request(lease, "PUT", &body, released);
}
