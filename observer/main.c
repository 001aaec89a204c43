/* lastword-observer: the program: flags, the connection to the API server, signals. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/files.h"
#include "lib/base/flags.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "observer/transport.h"
#include "observer/status.h"

#define TURN_MAX     SECOND
#define DRAIN_WAIT   (8 * SECOND) /* both together: a third of the default grace period of a pod */
#define RELEASE_WAIT (2 * SECOND)

struct settings {
	struct observer_options observer;
	const char *service_account_dir;
	const char *metrics;
};

static const char usage[] =
        "Usage: lastword-observer [OPTION…]\n"
        "Records every termination of an agent's container once, with its cause.\n"
        "Runs in a cluster: KUBERNETES_SERVICE_HOST and _PORT name the API server.\n"
        "\n"
        "  --service-account-dir DIR  with ca.crt and token (default: where Kubernetes puts them)\n"
        "  --namespace NS             of the Lease (default lastword-system)\n"
        "  --lease NAME               its holder is the leader (default lastword-observer)\n"
        "  --identity NAME            of this replica (default: the host's name and a number)\n"
        "  --config FILE              the observer's own: who is notified of records besides\n"
        "                             the Kubernetes Events (default: nobody)\n"
        "  --webhook-config FILE      the webhook's: pods that should have been injected and\n"
        "                             were not are observed, too (default: they are not)\n"
        "  --selector LABELS          of the pods to watch (default lastword.dev/injected=true,\n"
        "                             with --webhook-config all)\n"
        "  --watch-namespace NS       only pods and records of this namespace, so that rights\n"
        "                             in it are enough; not with\n"
        "                             --webhook-config\n"
        "  --metrics ADDR:PORT        /metrics, /healthz, /readyz, plain HTTP (default :9090)\n"
        "  --failover-delay DURATION  how long the other replicas wait for the leader's records\n"
        "                             (default 30s)\n"
        "  --watch-idle DURATION      a watch without a byte for so long counts as broken\n"
        "                             (default 2m30s)\n"
        "  --start-timeout-failing DURATION\n"
        "                             after that an agent whose start fails counts as never\n"
        "                             started (default 1m)\n"
        "  --start-timeout-waiting DURATION\n"
        "                             after that one that waits for no known reason does\n"
        "                             (default 15m)\n"
        "  --silent-after DURATION    after that a failed agent whose pod runs on is silent\n"
        "                             (default 30s)\n"
        "  --breaker NAMESPACE/NAME   the ConfigMap with the state of the breaker: it is opened\n"
        "                             where pods cannot start because of lastword (default: none)\n"
        "  --breaker-open-for DURATION\n"
        "                             until one pod is tried again (default 30m)\n"
        "  --remedy fail-pod          pods that are silent are failed where their rules have\n"
        "                             onSilentExit: fail-pod (default: none is)\n"
        "  --record-ttl DURATION      after that records are deleted (default 168h)\n"
        "  --record-cap N             records in a namespace; the oldest are deleted first\n"
        "                             (default 1000)\n"
        "  --log-level LEVEL          debug, info, warning or error (default info)\n"
        "  --version, --help\n"
        "\n"
        "Exit status: 0 stopped by a signal, 1 failed, 2 wrong usage.\n";

static bool take_cap(const char *value, void *target, struct error *error)
{
	unsigned long records;
	if (!flag_number(value, RECORD_GC_CAP_MAX, &records, error))
		return false;
	*(size_t *)target = records;
	return true;
}

/* Texts that become part of a path or a name. */
static bool take_name(const char *value, void *target, struct error *error)
{
	if (*value == '\0' || strlen(value) > 253 || strpbrk(value, " \t\n?#&%") != NULL)
		return error_set(error, "expected a name, got \"%.100s\"", value);
	return flag_text(value, target, error);
}

static bool take_breaker(const char *value, void *target, struct error *error)
{
	struct breaker_place place;
	return breaker_place_parse(value, &place, error) && flag_text(value, target, error);
}

static bool take_remedy(const char *value, void *target, struct error *error)
{
	*(bool *)target = strcmp(value, "fail-pod") == 0;
	return *(bool *)target || error_set(error, "expected fail-pod, got \"%.100s\"", value);
}

static bool take_namespace(const char *value, void *target, struct error *error)
{
	if (strlen(value) > 63 || strchr(value, '/') != NULL)
		return error_set(error, "expected a namespace, got \"%.100s\"", value);
	return take_name(value, target, error);
}

/* -1: go on; else the exit status. */
static int read_arguments(int argc, char **argv, struct settings *settings)
{
	struct observer_options *options = &settings->observer;
	const struct flag flags[] = {
	        {"service-account-dir", flag_text, &settings->service_account_dir},
	        {"namespace", take_name, &options->namespace},
	        {"lease", take_name, &options->lease},
	        {"identity", take_name, &options->identity},
	        {"config", flag_text, &options->config},
	        {"webhook-config", flag_text, &options->webhook_config},
	        {"selector", flag_text, &options->selector},
	        {"watch-namespace", take_namespace, &options->watch_namespace},
	        {"metrics", flag_text, &settings->metrics},
	        {"failover-delay", flag_span, &options->failover_delay},
	        {"watch-idle", flag_span, &options->watch_idle},
	        {"start-timeout-failing", flag_span, &options->tracker.start_timeouts.failing},
	        {"start-timeout-waiting", flag_span, &options->tracker.start_timeouts.waiting},
	        {"silent-after", flag_span, &options->tracker.silent_after},
	        {"breaker", take_breaker, &options->breaker},
	        {"breaker-open-for", flag_span, &options->breaker_open_for},
	        {"remedy", take_remedy, &options->fail_pods},
	        {"record-ttl", flag_span, &options->record_ttl},
	        {"record-cap", take_cap, &options->record_cap},
	        {"log-level", flag_log_level, NULL},
	};
	int status = flags_read("lastword-observer", usage, flags, sizeof flags / sizeof flags[0],
	                        argc, argv);
	if (status >= 0 || options->watch_namespace == NULL || options->webhook_config == NULL)
		return status;
	/* Which namespaces are opted in can only be listed for the whole cluster. */
	fprintf(stderr,
	        "lastword-observer: expected --watch-namespace or --webhook-config, not both\n");
	return FLAGS_EXIT_USAGE;
}

/* ---- Running ---- */

static struct kube_client *_Atomic waiting_client;
static volatile sig_atomic_t stops; /* how many SIGTERM and SIGINT came */

/* Async-signal-safe: curl_multi_wakeup() is a write(2). */
static void on_signal(int number)
{
	int error = errno;
	struct kube_client *client = atomic_load(&waiting_client);
	(void)number;
	stops = stops + 1;
	if (client != NULL)
		kube_wake(client);
	errno = error;
}

static void take_signals(struct kube_client *client)
{
	struct sigaction action = {.sa_handler = on_signal};
	atomic_store(&waiting_client, client);
	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Few malloc arenas, and freed memory goes back to the system: a small, flat footprint. */
static void tune_memory(void)
{
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	mallopt(M_TRIM_THRESHOLD, 512 * 1024);
}

static void turn(struct observer *observer, struct kube_client *client, struct status *status,
                 int64_t most)
{
	transport_run_once(observer, client, most);
	observer_reload_config(observer);
	observer_measure(observer);
	atomic_store(&status->turned_at, clock_now());
}

static void run(struct observer *observer, struct kube_client *client, struct status *status)
{
	bool was_ready = false;
	observer_start(observer);
	while (stops == 0) {
		turn(observer, client, status, TURN_MAX);
		bool ready = observer_is_ready(observer);
		if (ready && !was_ready)
			log_message(LOG_INFO, "watching pods", NULL);
		if (!ready && was_ready)
			log_message(LOG_ERROR, "the watch of pods makes no progress, not ready",
			            NULL);
		was_ready = ready;
	}
}

/* What is open is finished first: the evidence of pods that are gone is in the leader alone, or in
 * another replica that may be stopping, too. A second signal ends the wait. */
static void stop(struct observer *observer, struct kube_client *client, struct status *status)
{
	log_message(LOG_INFO, "stopping", NULL);
	observer_stop(observer);
	int64_t end = clock_now() + DRAIN_WAIT;
	while (stops == 1 && !observer_is_drained(observer) && clock_now() < end)
		turn(observer, client, status, TURN_MAX / 10);
	if (!observer_is_drained(observer))
		record_writer_print_pending(&observer->writer);
	lease_release(&observer->lease);
	end = clock_now() + RELEASE_WAIT;
	while (observer->lease.request != NULL && clock_now() < end)
		turn(observer, client, status, TURN_MAX / 10);
}

static const char *default_identity(uint64_t seed)
{
	static char identity[160];
	char host[128] = "lastword-observer";
	gethostname(host, sizeof host - 1);
	snprintf(identity, sizeof identity, "%s_%08x", host, (unsigned)(seed & UINT32_MAX));
	return identity;
}

int main(int argc, char **argv)
{
	static struct observer observer;
	struct settings settings = {.observer = observer_defaults,
	                            .service_account_dir = KUBE_SERVICE_ACCOUNT_DIR,
	                            .metrics = ":9090"};
	struct kube_client *_cleanup_kube_client_ client = NULL;
	struct status status;
	struct error error;
	settings.observer.identity = NULL;
	int exit_status = read_arguments(argc, argv, &settings);
	if (exit_status >= 0)
		return exit_status;

	tune_memory();
	files_raise_limit();
	if (getentropy(&settings.observer.seed, sizeof settings.observer.seed) != 0)
		settings.observer.seed = (uint64_t)clock_wall();
	if (settings.observer.identity == NULL)
		settings.observer.identity = default_identity(settings.observer.seed);
	if (!kube_client_new(settings.service_account_dir, &client, &error) ||
	    !observer_init(&observer, &settings.observer, clock_now(), clock_wall(), &error))
		return log_cannot_start(&error);
	transport_attach(&observer, client);
	if (!status_start(&status, &observer, settings.metrics, &error)) {
		observer_free(&observer);
		return log_cannot_start(&error);
	}
	take_signals(client);
	log_message(LOG_INFO, "the observer has started", "version", LASTWORD_VERSION, "identity",
	            settings.observer.identity, "metrics", status_address(&status), NULL);
	run(&observer, client, &status);
	stop(&observer, client, &status);
	status_stop(&status);
	observer_free(&observer);
	atomic_store(&waiting_client, NULL);
	log_message(LOG_INFO, "stopped", NULL);
	return EXIT_SUCCESS;
}
