#include "certs/reconcile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/duration.h"

#define OBJECT_MAX ((size_t)4 * 1024 * 1024)
#define PATH_SIZE  768
#define ATTEMPTS   2

struct round_objects {
	struct publish_object configuration;
	struct publish_object secret;
};

static void secret_path(const struct publish_names *names, bool collection, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "/api/v1/namespaces/%s/secrets%s%s", names->namespace,
	         collection ? "" : "/", collection ? "" : names->secret);
}

static void configuration_path(const struct publish_names *names, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE,
	         "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/%s",
	         names->configuration);
}

/* False: it could not be read; error says why. */
static bool get(struct round *round, const char *path, struct kube_response *response,
                struct publish_object *ret_object, struct error *error)
{
	const struct kube_request request = {
	        .path = path, .response_max = OBJECT_MAX, .attempts = ATTEMPTS, .secret = true};
	bool good = round->call(round->context, &request, response, error);
	*ret_object = (struct publish_object){
	        .presence = good                      ? PUBLISH_READ
	                    : response->status == 404 ? PUBLISH_ABSENT
	                                              : PUBLISH_UNREAD,
	        .text = buffer_text(&response->body),
	        .length = response->body.length,
	};
	return ret_object->presence != PUBLISH_UNREAD;
}

static bool serve(struct round *round, const struct publish_state *state, struct error *error)
{
	struct buffer _cleanup_buffer_ chain;
	struct buffer _cleanup_buffer_ key;
	buffer_init(&chain, OBJECT_MAX);
	buffer_init_secret(&key, OBJECT_MAX);
	if (!publish_leaf(state, &chain, &key, error) ||
	    !round->use(round->context, buffer_text(&chain), buffer_text(&key), error))
		return error_wrap(error, "serving the certificate");
	rotate_served(&state->view, &round->serving);
	return true;
}

/* 409: somebody was faster; so says 422 to a JSON patch whose test fails. */
static enum round_end send(struct round *round, const struct kube_request *request,
                           struct error *error)
{
	struct kube_response _cleanup_kube_response_ response;
	kube_response_init(&response);
	if (round->call(round->context, request, &response, error))
		return ROUND_AGAIN;
	bool conflict = response.status == 409 ||
	                (response.status == 422 && request->content_type != NULL &&
	                 strcmp(request->content_type, KUBE_JSON_PATCH) == 0);
	return conflict ? ROUND_AGAIN : ROUND_FAILED;
}

static bool check_clock(const struct kube_response *response, int64_t now, struct error *error)
{
	int64_t off = response->date < 0 ? 0 : now - response->date;
	if (off <= ROUND_CLOCK_TOLERANCE && off >= -ROUND_CLOCK_TOLERANCE)
		return true;
	return error_set(error,
	                 "this node's clock differs from the API server's by %" PRId64
	                 " s: no certificate is made",
	                 off / SECOND);
}

static enum round_end write_secret(struct round *round, const struct publish_state *state,
                                   const struct rotate_plan *plan, int64_t now,
                                   unsigned char serials[2][X509_SERIAL_SIZE], struct error *error)
{
	struct buffer _cleanup_buffer_ body;
	char path[PATH_SIZE];
	bool create = !state->view.secret_exists;
	buffer_init_secret(&body, OBJECT_MAX);
	if (!publish_write_secret(state, plan, round->names, round->policy, now, serials, &body,
	                          error))
		return ROUND_FAILED;
	secret_path(round->names, create, path);
	const struct kube_request request = {.method = create ? "POST" : "PATCH",
	                                     .path = path,
	                                     .content_type = create ? KUBE_JSON : KUBE_MERGE_PATCH,
	                                     .body = buffer_text(&body),
	                                     .body_length = body.length,
	                                     .response_max = OBJECT_MAX,
	                                     .secret = true};
	return send(round, &request, error);
}

static enum round_end write_bundles(struct round *round, const struct publish_state *state,
                                    struct error *error)
{
	struct buffer _cleanup_buffer_ body;
	char path[PATH_SIZE];
	buffer_init(&body, OBJECT_MAX);
	if (!publish_write_bundles(state, &body, error))
		return ROUND_FAILED;
	configuration_path(round->names, path);
	const struct kube_request request = {.method = "PATCH",
	                                     .path = path,
	                                     .content_type = KUBE_JSON_PATCH,
	                                     .body = buffer_text(&body),
	                                     .body_length = body.length,
	                                     .response_max = OBJECT_MAX};
	return send(round, &request, error);
}

/* When memory is short OpenSSL says no where it means that it does not know: a key that does not
 * fit, a leaf that nobody signed. Nothing is thrown away for that: what leads to a write must be
 * read the same twice. */
static bool confirm(const struct round *round, const struct round_objects *objects, int64_t now,
                    const unsigned char serial[X509_SERIAL_SIZE], const struct rotate_plan *plan,
                    struct error *error)
{
	struct publish_state _cleanup_publish_state_ state;
	struct rotate_plan again;
	if (!publish_read(&objects->secret, &objects->configuration, round->names, now, serial,
	                  &state, error))
		return false;
	rotate_decide(&state.view, round->policy, now, &again);
	if (again.step == plan->step && again.reason == plan->reason &&
	    again.new_authority == plan->new_authority && again.new_leaf == plan->new_leaf &&
	    again.stamp == plan->stamp && memcmp(again.keep, plan->keep, sizeof again.keep) == 0)
		return true;
	return error_set(error, "what was read twice is not the same: no memory");
}

/* What was read is decided on; unread: why the configuration could not be, or NULL. */
static enum round_end act(struct round *round, const struct publish_state *state,
                          const struct round_objects *objects, int64_t now, int64_t monotonic,
                          const struct error *unread, const struct kube_response *clock,
                          unsigned char serials[2][X509_SERIAL_SIZE], struct round_report *report,
                          struct error *error)
{
	enum round_end end = ROUND_REST;
	struct rotate_plan *plan = &report->plan;
	if (rotate_serve(&state->view, round->policy, now, monotonic, &round->serving)) {
		if (!serve(round, state, error))
			return ROUND_FAILED;
		report->serves = true;
	}
	rotate_decide(&state->view, round->policy, now, plan);
	bool writes = plan->step == ROTATE_WRITE_SECRET || plan->step == ROTATE_WRITE_BUNDLES;
	if (writes && !confirm(round, objects, now, serials[1], plan, error)) {
		*plan = (struct rotate_plan){.step = ROTATE_NOTHING};
		return ROUND_FAILED;
	}
	if (writes && !check_clock(clock, now, error))
		return ROUND_FAILED;
	if (plan->step == ROTATE_WRITE_SECRET)
		end = write_secret(round, state, plan, now, serials, error);
	else if (plan->step == ROTATE_WRITE_BUNDLES)
		end = write_bundles(round, state, error);
	report->wrote = writes && end == ROUND_AGAIN;
	if (end == ROUND_REST && unread != NULL) {
		error_set(error, "%s", unread->message);
		return ROUND_FAILED;
	}
	return end;
}

enum round_end round_run(struct round *round, struct round_report *ret_report, struct error *error)
{
	struct kube_response _cleanup_kube_response_ configuration_answer;
	struct kube_response _cleanup_kube_response_ secret_answer;
	struct publish_state _cleanup_publish_state_ state;
	struct round_objects objects;
	struct round_report report = {.wrote = false};
	struct error unread;
	unsigned char serials[2][X509_SERIAL_SIZE];
	char path[PATH_SIZE];
	int64_t now;
	int64_t monotonic;
	kube_response_init(&configuration_answer);
	kube_response_init(&secret_answer);
	publish_state_init(&state);
	*ret_report = report;

	/* In this order: rotate.h says why. */
	configuration_path(round->names, path);
	bool read = get(round, path, &configuration_answer, &objects.configuration, &unread);
	secret_path(round->names, false, path);
	if (!get(round, path, &secret_answer, &objects.secret, error))
		return ROUND_FAILED;
	if (getentropy(serials, sizeof serials) != 0) {
		error_set(error, "no randomness");
		return ROUND_FAILED;
	}
	round->clock(round->context, &now, &monotonic);
	if (!publish_read(&objects.secret, &objects.configuration, round->names, now, serials[1],
	                  &state, error))
		return ROUND_FAILED;
	enum round_end end = act(round, &state, &objects, now, monotonic, read ? NULL : &unread,
	                         &secret_answer, serials, &report, error);
	*ret_report = report;
	return end;
}
