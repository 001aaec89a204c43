#include "certs/reconcile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "certs/ca_bundles.h"
#include "certs/read_state.h"
#include "certs/secret.h"
#include "lib/base/clock.h"

#define OBJECT_MAX ((size_t)4 * 1024 * 1024)
#define PATH_SIZE  768
#define ATTEMPTS   2

struct read_objects {
	struct api_object configuration;
	struct api_object secret;
};

static void secret_path(const struct certificate_names *names, bool collection,
                        char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "/api/v1/namespaces/%s/secrets%s%s", names->namespace,
	         collection ? "" : "/", collection ? "" : names->secret);
}

static void configuration_path(const struct certificate_names *names, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE,
	         "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/%s",
	         names->configuration);
}

/* False: the object could not be read; error says why. */
static bool get(struct reconciler *reconciler, const char *path, struct kube_response *response,
                struct api_object *ret_object, struct error *error)
{
	const struct kube_request request = {
	        .path = path, .response_max = OBJECT_MAX, .attempts = ATTEMPTS, .secret = true};
	bool good = reconciler->call(reconciler->context, &request, response, error);
	*ret_object = (struct api_object){
	        .presence = good                      ? API_OBJECT_READ
	                    : response->status == 404 ? API_OBJECT_ABSENT
	                                              : API_OBJECT_UNKNOWN,
	        .text = buffer_text(&response->body),
	        .length = response->body.length,
	};
	return ret_object->presence != API_OBJECT_UNKNOWN;
}

static bool serve(struct reconciler *reconciler, const struct certificate_state *state,
                  struct error *error)
{
	struct buffer _cleanup_buffer_ chain;
	struct buffer _cleanup_buffer_ key;
	buffer_init(&chain, OBJECT_MAX);
	buffer_init_secret(&key, OBJECT_MAX);
	if (!secret_leaf(state, &chain, &key, error) ||
	    !reconciler->use_certificate(reconciler->context, buffer_text(&chain),
	                                 buffer_text(&key), error))
		return error_wrap(error, "serving the certificate");
	rotate_served(&state->view, &reconciler->serving);
	return true;
}

/* Status 409 means that another replica was faster, and so does 422 for a JSON patch: its test of
 * the resourceVersion failed. */
static enum reconcile_result send_write(struct reconciler *reconciler,
                                        const struct kube_request *request, struct error *error)
{
	struct kube_response _cleanup_kube_response_ response;
	kube_response_init(&response);
	if (reconciler->call(reconciler->context, request, &response, error))
		return RECONCILE_AGAIN;
	bool conflict = response.status == 409 ||
	                (response.status == 422 && request->content_type != NULL &&
	                 strcmp(request->content_type, KUBE_JSON_PATCH) == 0);
	return conflict ? RECONCILE_AGAIN : RECONCILE_FAILED;
}

static bool check_clock(const struct kube_response *response, int64_t now, struct error *error)
{
	int64_t off = response->date < 0 ? 0 : now - response->date;
	if (off <= RECONCILE_CLOCK_TOLERANCE && off >= -RECONCILE_CLOCK_TOLERANCE)
		return true;
	return error_set(error,
	                 "this node's clock differs from the API server's by %" PRId64
	                 " s: no certificate is written",
	                 off / SECOND);
}

static enum reconcile_result write_secret(struct reconciler *reconciler,
                                          const struct certificate_state *state,
                                          const struct rotate_plan *plan, int64_t now,
                                          unsigned char serials[2][X509_SERIAL_SIZE],
                                          struct error *error)
{
	struct buffer _cleanup_buffer_ body;
	char path[PATH_SIZE];
	bool create = !state->view.secret_exists;
	buffer_init_secret(&body, OBJECT_MAX);
	if (!secret_write(state, plan, reconciler->names, reconciler->policy, now, serials, &body,
	                  error))
		return RECONCILE_FAILED;
	secret_path(reconciler->names, create, path);
	const struct kube_request request = {.method = create ? "POST" : "PATCH",
	                                     .path = path,
	                                     .content_type = create ? KUBE_JSON : KUBE_MERGE_PATCH,
	                                     .body = buffer_text(&body),
	                                     .body_length = body.length,
	                                     .response_max = OBJECT_MAX,
	                                     .secret = true};
	enum reconcile_result result = send_write(reconciler, &request, error);
	/* The manifests ship the Secret, and give no right to create one. */
	if (create && result == RECONCILE_FAILED)
		error_wrap(error, "the Secret %s does not exist (apply the manifests again?)",
		           reconciler->names->secret);
	return result;
}

static enum reconcile_result write_bundles(struct reconciler *reconciler,
                                           const struct certificate_state *state,
                                           struct error *error)
{
	struct buffer _cleanup_buffer_ body;
	char path[PATH_SIZE];
	buffer_init(&body, OBJECT_MAX);
	if (!ca_bundles_write(state, &body, error))
		return RECONCILE_FAILED;
	configuration_path(reconciler->names, path);
	const struct kube_request request = {.method = "PATCH",
	                                     .path = path,
	                                     .content_type = KUBE_JSON_PATCH,
	                                     .body = buffer_text(&body),
	                                     .body_length = body.length,
	                                     .response_max = OBJECT_MAX};
	return send_write(reconciler, &request, error);
}

/* When memory is short, OpenSSL answers no where it means that it does not know: it takes a key for
 * the wrong one, or a leaf for one that nobody signed. No key may be discarded for that: a plan
 * that writes is carried out only if parsing and deciding a second time give the same plan. */
static bool confirm(const struct reconciler *reconciler, const struct read_objects *objects,
                    int64_t now, const unsigned char serial[X509_SERIAL_SIZE],
                    const struct rotate_plan *plan, struct error *error)
{
	struct certificate_state _cleanup_certificate_state_ state;
	struct rotate_plan again;
	if (!certificate_state_read(&objects->secret, &objects->configuration, reconciler->names,
	                            now, serial, &state, error))
		return false;
	rotate_decide(&state.view, reconciler->policy, now, &again);
	if (again.step == plan->step && again.reason == plan->reason &&
	    again.new_ca == plan->new_ca && again.new_leaf == plan->new_leaf &&
	    again.next_ca == plan->next_ca &&
	    memcmp(again.keep, plan->keep, sizeof again.keep) == 0)
		return true;
	return error_set(error, "two readings of the same objects differ: no memory");
}

/* Decides on what was read and carries out the plan. unread: why the configuration could not be
 * read, or NULL. */
static enum reconcile_result decide_and_write(struct reconciler *reconciler,
                                              const struct certificate_state *state,
                                              const struct read_objects *objects, int64_t now,
                                              int64_t monotonic, const struct error *unread,
                                              const struct kube_response *clock,
                                              unsigned char serials[2][X509_SERIAL_SIZE],
                                              struct reconcile_report *report, struct error *error)
{
	enum reconcile_result result = RECONCILE_DONE;
	struct rotate_plan *plan = &report->plan;
	if (rotate_serve(&state->view, reconciler->policy, now, monotonic, &reconciler->serving)) {
		if (!serve(reconciler, state, error))
			return RECONCILE_FAILED;
		report->serves = true;
	}
	rotate_decide(&state->view, reconciler->policy, now, plan);
	bool writes = plan->step == ROTATE_WRITE_SECRET || plan->step == ROTATE_WRITE_BUNDLES;
	if (writes && !confirm(reconciler, objects, now, serials[1], plan, error)) {
		*plan = (struct rotate_plan){.step = ROTATE_NOTHING};
		return RECONCILE_FAILED;
	}
	if (writes && !check_clock(clock, now, error))
		return RECONCILE_FAILED;
	if (plan->step == ROTATE_WRITE_SECRET)
		result = write_secret(reconciler, state, plan, now, serials, error);
	else if (plan->step == ROTATE_WRITE_BUNDLES)
		result = write_bundles(reconciler, state, error);
	report->wrote = writes && result == RECONCILE_AGAIN;
	if (result == RECONCILE_DONE && unread != NULL) {
		error_set(error, "%s", unread->message);
		return RECONCILE_FAILED;
	}
	return result;
}

enum reconcile_result reconcile(struct reconciler *reconciler, struct reconcile_report *ret_report,
                                struct error *error)
{
	struct kube_response _cleanup_kube_response_ configuration_response;
	struct kube_response _cleanup_kube_response_ secret_response;
	struct certificate_state _cleanup_certificate_state_ state;
	struct read_objects objects;
	struct reconcile_report report = {.wrote = false};
	struct error unread;
	unsigned char serials[2][X509_SERIAL_SIZE];
	char path[PATH_SIZE];
	int64_t now;
	int64_t monotonic;
	kube_response_init(&configuration_response);
	kube_response_init(&secret_response);
	certificate_state_init(&state);
	*ret_report = report;

	/* The caBundles first: rotate.h says why. */
	configuration_path(reconciler->names, path);
	bool read = get(reconciler, path, &configuration_response, &objects.configuration, &unread);
	secret_path(reconciler->names, false, path);
	if (!get(reconciler, path, &secret_response, &objects.secret, error))
		return RECONCILE_FAILED;
	if (getentropy(serials, sizeof serials) != 0) {
		error_set(error, "no randomness");
		return RECONCILE_FAILED;
	}
	reconciler->clock(reconciler->context, &now, &monotonic);
	if (!certificate_state_read(&objects.secret, &objects.configuration, reconciler->names, now,
	                            serials[1], &state, error))
		return RECONCILE_FAILED;
	enum reconcile_result result =
	        decide_and_write(reconciler, &state, &objects, now, monotonic,
	                         read ? NULL : &unread, &secret_response, serials, &report, error);
	*ret_report = report;
	return result;
}
