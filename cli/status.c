#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ca_bundle.h"
#include "cli/commands.h"
#include "cli/installation.h"
#include "cli/kubectl.h"
#include "cli/message.h"
#include "cli/metric_text.h"
#include "cli/record_options.h"
#include "cli/record_output.h"
#include "cli/terminal.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/kube/agent_exit.h"
#include "lib/kube/breaker_state.h"
#include "lib/kube/names.h"
#include "lib/kube/version.h"

#define TRIAL_POD          "lastword-status"
#define RESPONSE_MAX       ((size_t)64 * 1024 * 1024)
#define OUTPUT_MAX         ((size_t)1024 * 1024)
#define MINOR_MIN          20
#define EXPIRY_WARNING     (INT64_C(7) * 24 * 3600 * SECOND)
#define LATE_SECONDS       600
#define WEBHOOK_SECRET     "lastword-webhook-tls" /* as the manifests name it */
#define RECEIVER_NAME_SIZE 256
#define STALE_SECONDS      180 /* three bookmarks of the API server */

/* OUTCOME_SKIPPED: it could not be checked, and that is no fault of the installation. */
enum outcome { OUTCOME_OK, OUTCOME_SKIPPED, OUTCOME_WARNING, OUTCOME_FAILED };

enum part { PART_WEBHOOK, PART_OBSERVER, PART_WATCHDOG, PART_COUNT };

struct status {
	const struct kubectl *kubectl;
	const char *system; /* lastword's own namespace */
	int64_t now;
	bool color;
	struct arena *arena;
	struct buffer out;
	bool failed;
	size_t warnings;
	const char *versions[PART_COUNT]; /* "" where it is not known */
	const json *webhook;              /* its Deployment, or NULL */
	const json *registration;         /* the MutatingWebhookConfiguration, or NULL */
	const char *first_namespace;      /* that is opted in; NULL: none */
};

/* ---- Lines ---- */

/* hint: what to do; NULL where there is nothing to do. */
static void report(struct status *status, enum outcome outcome, const char *hint,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
static void report(struct status *status, enum outcome outcome, const char *hint,
                   const char *format, ...)
{
	static const char *const marks[] = {[OUTCOME_OK] = "ok       ",
	                                    [OUTCOME_SKIPPED] = "skipped  ",
	                                    [OUTCOME_WARNING] = "warning  ",
	                                    [OUTCOME_FAILED] = "failed   "};
	static const enum color colors[] = {[OUTCOME_OK] = COLOR_GOOD,
	                                    [OUTCOME_SKIPPED] = COLOR_DONE,
	                                    [OUTCOME_WARNING] = COLOR_WARNING,
	                                    [OUTCOME_FAILED] = COLOR_ALARM};
	enum color color = status->color ? colors[outcome] : COLOR_NONE;
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	color_begin(&status->out, color);
	buffer_append_text(&status->out, marks[outcome]);
	color_end(&status->out, color);
	terminal_line(&status->out, text);
	buffer_append_char(&status->out, '\n');
	if (outcome != OUTCOME_OK && hint != NULL)
		buffer_printf(&status->out, "         → %s\n", hint);
	status->failed = status->failed || outcome == OUTCOME_FAILED;
	status->warnings += outcome == OUTCOME_WARNING;
}

/* ---- Requests ---- */

static json *get(struct status *status, const char *path, struct error *error)
{
	return kubectl_get_json(status->kubectl, path, RESPONSE_MAX, status->arena, error);
}

static const char *path_in(struct status *status, const char *format, const char *name)
{
	const char *path = arena_printf(status->arena, format, status->system, name);
	return path == NULL ? "/" : path;
}

/* ---- The cluster ---- */

static bool check_server(struct status *status)
{
	struct error error;
	unsigned minor = 0;
	const json *version = get(status, "/version", &error);
	if (version == NULL) {
		report(status, OUTCOME_FAILED, "check kubectl's context, and that you may read",
		       "API server: %s", error.message);
		return false;
	}
	const char *text = json_get_string_or(version, "gitVersion", "of unknown version");
	if (kube_version_parse(text, &minor, &error) && minor < MINOR_MIN)
		report(status, OUTCOME_FAILED, "lastword needs Kubernetes 1.20 or newer",
		       "API server: %s is too old", text);
	else
		report(status, OUTCOME_OK, NULL, "API server: %s", text);
	return true;
}

static void check_crd(struct status *status)
{
	struct error error;
	const json *crd = get(status,
	                      "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
	                      "agentexits.lastword.dev",
	                      &error);
	const json *conditions = json_find(crd, "status", "conditions", NULL);
	bool established = false;
	for (const json *n = json_first(conditions); n != NULL; n = json_next(n))
		established = established || (json_string_is(json_get(n, "type"), "Established") &&
		                              json_string_is(json_get(n, "status"), "True"));
	if (crd == NULL)
		report(status, OUTCOME_FAILED,
		       "install lastword: kubectl apply -k manifests/overlays/self-signed",
		       "CRD agentexits.lastword.dev: %s", error.message);
	else if (!established)
		report(status, OUTCOME_FAILED, "kubectl describe crd agentexits.lastword.dev",
		       "CRD agentexits.lastword.dev: not established");
	else
		report(status, OUTCOME_OK, NULL, "CRD agentexits.lastword.dev: established");
}

static void check_namespaces(struct status *status)
{
	struct error error;
	const json *list = get(
	        status, "/api/v1/namespaces?labelSelector=lastword.dev%2Finject%3Denabled", &error);
	const json *items = json_get(list, "items");
	size_t count = json_size(items);
	if (list == NULL) {
		report(status, OUTCOME_WARNING, NULL, "opted-in namespaces: %s", error.message);
		return;
	}
	status->first_namespace = json_get_string(json_get(json_first(items), "metadata"), "name");
	if (count == 0)
		report(status, OUTCOME_WARNING,
		       "kubectl label namespace NAMESPACE lastword.dev/inject=enabled",
		       "opted-in namespaces: none");
	else
		report(status, OUTCOME_OK, NULL, "opted-in namespaces: %zu", count);
}

/* ---- The installation ---- */

static const char *version_of(struct status *status, const char *image)
{
	const char *version = installation_version(status->arena, image);
	return version == NULL ? "" : version;
}

static void check_deployment(struct status *status, const char *name, enum part part)
{
	struct error error;
	int64_t wanted = 1;
	int64_t available = 0;
	const json *deployment = installation_deployment(status->kubectl, status->system, name,
	                                                 status->arena, &error);
	if (deployment == NULL) {
		report(status, OUTCOME_FAILED, "install lastword, or name its namespace with -n",
		       "%s: %s", name, error.message);
		return;
	}
	json_integer(json_find(deployment, "spec", "replicas", NULL), &wanted);
	json_integer(json_find(deployment, "status", "availableReplicas", NULL), &available);
	const char *hint = arena_printf(status->arena, "kubectl -n %s describe deployment %s",
	                                status->system, name);
	enum outcome outcome = available == 0       ? OUTCOME_FAILED
	                       : available < wanted ? OUTCOME_WARNING
	                                            : OUTCOME_OK;
	report(status, outcome, hint, "%s: %lld of %lld replicas available", name,
	       (long long)available, (long long)wanted);
	status->versions[part] = version_of(status, installation_image(deployment));
	if (part != PART_WEBHOOK)
		return;
	status->webhook = deployment;
	status->versions[PART_WATCHDOG] =
	        version_of(status, installation_watchdog_image(deployment));
}

static const char *or_unknown(const char *version)
{
	return version == NULL || version[0] == '\0' ? "unknown" : version;
}

static void check_versions(struct status *status)
{
	bool same = true;
	if (status->webhook == NULL)
		return;
	for (size_t i = 0; i < PART_COUNT; i++)
		same = same && (status->versions[i] == NULL || status->versions[i][0] == '\0' ||
		                strcmp(status->versions[i], LASTWORD_VERSION) == 0);
	report(status, same ? OUTCOME_OK : OUTCOME_WARNING,
	       "they work together (docs/upgrade.md); upgrade what is older",
	       "versions: webhook %s, observer %s, watchdog %s, this program " LASTWORD_VERSION,
	       or_unknown(status->versions[PART_WEBHOOK]),
	       or_unknown(status->versions[PART_OBSERVER]),
	       or_unknown(status->versions[PART_WATCHDOG]));
}

static void check_registration(struct status *status)
{
	struct error error;
	const json *configuration = get(status,
	                                "/apis/admissionregistration.k8s.io/v1/"
	                                "mutatingwebhookconfigurations/lastword",
	                                &error);
	const json *webhook = json_first(json_get(configuration, "webhooks"));
	if (webhook == NULL) {
		report(status, OUTCOME_FAILED,
		       "apply lastword's manifests: no pod is injected without it",
		       "MutatingWebhookConfiguration lastword: %s",
		       configuration == NULL ? error.message : "no webhooks");
		return;
	}
	status->registration = configuration;
	const char *policy = json_get_string_or(webhook, "failurePolicy", "Fail");
	if (json_get_string_or(json_get(webhook, "clientConfig"), "caBundle", "")[0] == '\0')
		report(status, OUTCOME_FAILED,
		       "the webhook fills it in within seconds; see its log, or that of "
		       "cert-manager",
		       "MutatingWebhookConfiguration lastword: the caBundle is empty");
	else if (strcmp(policy, "Ignore") != 0)
		report(status, OUTCOME_WARNING,
		       "with Ignore, pods are created when the webhook does not answer",
		       "MutatingWebhookConfiguration lastword: failurePolicy is %s", policy);
	else
		report(status, OUTCOME_OK, NULL,
		       "MutatingWebhookConfiguration lastword: registered");
}

/* The Secret of the webhook's certificate: its flag --secret says which. */
static const char *secret_name(const struct status *status)
{
	const char *name = installation_flag(status->webhook, "--secret=");
	return name == NULL ? WEBHOOK_SECRET : name;
}

/* Of all webhooks the worst match. */
static bool compare_bundles(const struct status *status, const char *ca, struct ca_match *ret_match)
{
	const json *webhooks = json_get(status->registration, "webhooks");
	bool compared = false;
	for (const json *n = json_first(webhooks); n != NULL; n = json_next(n)) {
		struct ca_match match;
		const char *bundle =
		        json_get_string_or(json_get(n, "clientConfig"), "caBundle", "");
		if (!ca_bundle_compare(bundle, ca, &match))
			return false;
		if (!compared || match.found < ret_match->found)
			*ret_match = match;
		compared = true;
	}
	return compared;
}

/* That the caBundle is empty is said already. */
static void check_ca(struct status *status)
{
	struct error error;
	struct ca_match match;
	const char *name = secret_name(status);
	if (status->registration == NULL || status->webhook == NULL)
		return;
	const json *secret =
	        get(status, path_in(status, "/api/v1/namespaces/%s/secrets/%s", name), &error);
	const char *ca = json_get_string(json_get(secret, "data"), "ca.crt");
	if (secret == NULL || ca == NULL)
		report(status, OUTCOME_SKIPPED, NULL, "caBundle and Secret %s: %s", name,
		       secret == NULL ? error.message : "it has no ca.crt");
	else if (!compare_bundles(status, ca, &match) || match.count == 0)
		report(status, OUTCOME_FAILED, "see the webhook's log, or that of cert-manager",
		       "caBundle and Secret %s: they have no certificates in PEM", name);
	else if (match.found == 0)
		report(status, OUTCOME_FAILED,
		       "the webhook, or cert-manager's cainjector, writes it within seconds: see "
		       "its "
		       "log, and that nothing else writes the webhook configuration",
		       "caBundle: it has not the CA of Secret %s, so the API server does not trust "
		       "the webhook",
		       name);
	else if (match.found < match.count)
		report(status, OUTCOME_WARNING, "the CA is being changed; try again in a minute",
		       "caBundle: it has %zu of the %zu CA certificates of Secret %s", match.found,
		       match.count, name);
	else
		report(status, OUTCOME_OK, NULL, "caBundle: it has the CA of Secret %s", name);
}

/* The whole way: the API server trusts the webhook, calls it, and takes its patch. */
static void check_trial(struct status *status)
{
	struct buffer _cleanup_buffer_ body;
	struct error error;
	json *pod;
	buffer_init(&body, RESPONSE_MAX);
	if (status->first_namespace == NULL)
		return;
	bool made = kubectl_try_pod(status->kubectl, status->first_namespace, TRIAL_POD,
	                            "cli-container=" TRIAL_POD, &body, &error) &&
	            json_parse(status->arena, buffer_text(&body), body.length, 0, &pod, &error) !=
	                    JSON_INVALID;
	if (!made)
		report(status, OUTCOME_WARNING, "the namespace's policies or your rights refuse it",
		       "a pod as a dry run in %s: %s", status->first_namespace, error.message);
	else if (json_string_is(json_find(pod, "metadata", "labels", KEY_INJECTED, NULL), "true"))
		report(status, OUTCOME_OK, NULL, "a pod as a dry run in %s: injected",
		       status->first_namespace);
	else
		report(status, OUTCOME_FAILED,
		       "the webhook did not answer (see its log and the caBundle), or no rule of "
		       "the "
		       "configuration matches the label cli-container",
		       "a pod as a dry run in %s: not injected", status->first_namespace);
}

/* ---- What the programs say of themselves ---- */

/* The metrics of each pod of a Deployment, by the API server's proxy; NULL: no more. */
static const char *pod_metrics(struct status *status, const char *pod, struct error *error)
{
	struct buffer _cleanup_buffer_ body;
	buffer_init(&body, RESPONSE_MAX);
	if (!kubectl_get_raw(
	            status->kubectl,
	            path_in(status, "/api/v1/namespaces/%s/pods/%s:9090/proxy/metrics", pod), &body,
	            error))
		return NULL;
	return arena_copy(status->arena, buffer_text(&body), body.length);
}

static void check_webhook_metrics(struct status *status, const char *pod, const char *metrics)
{
	double expiry;
	if (!metric_text_sum(metrics, "lastword_certificate_expiry_timestamp_seconds", NULL,
	                     &expiry))
		return;
	int64_t left = (int64_t)expiry * SECOND - status->now;
	struct buffer _cleanup_buffer_ age;
	buffer_init(&age, 100);
	terminal_age(&age, left < 0 ? -left : left);
	report(status,
	       left <= 0               ? OUTCOME_FAILED
	       : left < EXPIRY_WARNING ? OUTCOME_WARNING
	                               : OUTCOME_OK,
	       "see the webhook's log, or that of cert-manager", "certificate of %s: %s %s%s", pod,
	       left <= 0 ? "expired" : "valid for", buffer_text(&age), left <= 0 ? " ago" : "");
}

/* One receiver: when it last took a notification, what waits for it, and what was given up. */
static void check_receiver(struct status *status, const char *metrics, const char *name)
{
	char label[RECEIVER_NAME_SIZE + 16];
	double success;
	double waiting;
	double dropped;
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, 200);
	snprintf(label, sizeof label, "receiver=\"%s\"", name);
	metric_text_sum(metrics, "lastword_receiver_queue_bytes", label, &waiting);
	metric_text_sum(metrics, "lastword_receiver_dropped_total", label, &dropped);
	if (metric_text_sum(metrics, "lastword_receiver_last_success_timestamp_seconds", label,
	                    &success) &&
	    success > 0) {
		buffer_append_text(&text, "last success ");
		terminal_age(&text, status->now - (int64_t)success * SECOND);
		buffer_append_text(&text, " ago");
	} else {
		buffer_append_text(&text, "no success yet");
	}
	bool late = waiting > 0 && (double)status->now / SECOND - success > LATE_SECONDS;
	report(status, late || dropped > 0 ? OUTCOME_WARNING : OUTCOME_OK,
	       late ? "it does not answer, or refuses: see the observer's log, docs/receivers.md"
	            : "they were refused, or too old: see the observer's log, docs/receivers.md",
	       "receiver %s: %s, %.0f bytes wait, %.0f notifications were dropped", name,
	       buffer_text(&text), waiting, dropped);
}

static void check_receivers(struct status *status, const char *metrics)
{
	const char *position = metrics;
	char name[RECEIVER_NAME_SIZE];
	size_t count = 0;
	while (metric_text_next_label(&position, "lastword_receiver_queue_bytes", "receiver", name,
	                              sizeof name)) {
		check_receiver(status, metrics, name);
		count++;
	}
	if (count == 0)
		report(status, OUTCOME_OK, NULL, "receivers: none is configured, only Events");
}

static void check_observer_metrics(struct status *status, const char *pod, const char *metrics,
                                   bool *leader)
{
	double value;
	if (!metric_text_sum(metrics, "lastword_observer_leader", NULL, &value) || value == 0)
		return;
	*leader = true;
	if (metric_text_sum(metrics, "lastword_observer_seconds_without_progress", NULL, &value))
		report(status, value > STALE_SECONDS ? OUTCOME_FAILED : OUTCOME_OK,
		       "see its log: the list or watch of pods is stuck",
		       "observer: %s leads, its watch made progress %.0f s ago", pod, value);
	if (metric_text_sum(metrics, "lastword_observer_pending_records", NULL, &value) &&
	    value > 0)
		report(status, OUTCOME_WARNING,
		       "they are written as soon as the API server takes them",
		       "observer: %.0f records are not written yet", value);
	if (metric_text_sum(metrics, "lastword_uninjected_pods", NULL, &value) && value > 0)
		report(status, OUTCOME_WARNING,
		       "kubectl get events -A --field-selector reason=AgentPodNotInjected",
		       "un-injected agent pods: %.0f", value);
	else
		report(status, OUTCOME_OK, NULL, "un-injected agent pods: none");
	if (metric_text_sum(metrics, "lastword_silent_pods", NULL, &value) && value > 0)
		report(status, OUTCOME_WARNING, "kubectl lastword exits -A --unresolved",
		       "silent pods now: %.0f", value);
	check_receivers(status, metrics);
}

static void check_programs(struct status *status)
{
	struct error error;
	bool leader = false;
	size_t observers = 0;
	const json *list = get(status, path_in(status, "/api/v1/namespaces/%s/pods%s", ""), &error);
	for (const json *n = json_first(json_get(list, "items")); n != NULL; n = json_next(n)) {
		const json *metadata = json_get(n, "metadata");
		const char *pod = json_get_string_or(metadata, "name", "");
		const char *program = json_string(
		        json_find(n, "metadata", "labels", "app.kubernetes.io/name", NULL));
		bool webhook = program != NULL && strcmp(program, "lastword-webhook") == 0;
		bool observer = program != NULL && strcmp(program, "lastword-observer") == 0;
		/* A replica of the previous rollout says nothing of the installation. */
		if ((!webhook && !observer) || json_get(metadata, "deletionTimestamp") != NULL)
			continue;
		const char *metrics = pod_metrics(status, pod, &error);
		observers += observer;
		if (metrics == NULL)
			report(status, OUTCOME_WARNING,
			       "its metrics need the right to get pods/proxy", "%s: %s", pod,
			       error.message);
		else if (webhook)
			check_webhook_metrics(status, pod, metrics);
		else
			check_observer_metrics(status, pod, metrics, &leader);
		leader = leader || (observer && metrics == NULL);
	}
	if (observers > 0 && !leader)
		report(status, OUTCOME_FAILED,
		       "see the observers' logs, and the Lease lastword-observer",
		       "observer: no replica leads");
}

static void check_breakers(struct status *status)
{
	struct error error;
	struct breaker_state breakers = {0};
	const json *map = get(
	        status, path_in(status, "/api/v1/namespaces/%s/configmaps/%s", BREAKER_CONFIG_MAP),
	        &error);
	const char *text = json_get_string(json_get(map, "data"), BREAKER_KEY);
	if (map == NULL && strstr(error.message, "NotFound") == NULL) {
		report(status, OUTCOME_WARNING, NULL, "breakers: %s", error.message);
		return;
	}
	if (text != NULL && !breaker_state_parse(text, strlen(text), &breakers, &error)) {
		report(status, OUTCOME_FAILED, "kubectl lastword breaker", "breakers: %s",
		       error.message);
		return;
	}
	size_t open = 0;
	for (size_t i = 0; i < breakers.count; i++) {
		const struct breaker_entry *entry = &breakers.entries[i];
		if (entry->position == BREAKER_CLOSED)
			continue;
		open++;
		report(status, OUTCOME_WARNING, "docs/guards.md; kubectl lastword breaker",
		       "breaker of %s: %s (%s)", entry->namespace,
		       breaker_position_name(entry->position), entry->reason);
	}
	if (open == 0)
		report(status, OUTCOME_OK, NULL, "breakers: none is open");
	breaker_state_free(&breakers);
}

static void check_all(struct status *status)
{
	if (!check_server(status))
		return;
	check_crd(status);
	check_deployment(status, INSTALLATION_WEBHOOK, PART_WEBHOOK);
	check_deployment(status, INSTALLATION_OBSERVER, PART_OBSERVER);
	check_versions(status);
	check_registration(status);
	check_ca(status);
	check_namespaces(status);
	check_trial(status);
	check_programs(status);
	check_breakers(status);
}

int command_status(int argc, char **argv)
{
	struct record_options options = {.command = "status"};
	options.source.namespace = INSTALLATION_NAMESPACE;
	int code = record_options_read(argc, argv, &options);
	if (code >= 0)
		return code;
	struct status status = {.kubectl = &options.source.kubectl,
	                        .system = options.source.namespace,
	                        .now = options.now,
	                        .color = options.color,
	                        .arena = arena_new(4 * RESPONSE_MAX)};
	if (status.arena == NULL) {
		message(options.command, "no memory");
		return EXIT_FAILED;
	}
	buffer_init(&status.out, OUTPUT_MAX);
	check_all(&status);
	buffer_append_text(&status.out, status.failed         ? "\nSomething is wrong.\n"
	                                : status.warnings > 0 ? "\nIt works, with warnings.\n"
	                                                      : "\nAll is well.\n");
	code = record_print(&options, &status.out);
	buffer_free(&status.out);
	arena_free(status.arena);
	return status.failed ? EXIT_FAILED : code;
}
