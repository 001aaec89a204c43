/* lastword-webhook: wires the server to its files, its signals and the cluster. */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "certs/manager.h"
#include "lib/base/clock.h"
#include "lib/base/duration.h"
#include "lib/base/files.h"
#include "lib/base/flags.h"
#include "lib/kube/client.h"
#include "lib/kube/version.h"
#include "lib/base/log.h"
#include "webhook/breaker_reader.h"
#include "webhook/config.h"
#include "webhook/image_resolver.h"
#include "webhook/server.h"

/* How often the files are looked at. */
#define POLL_MILLISECONDS 1000
/* How often the API server is asked for its version until it has answered, in polls. */
#define VERSION_INTERVAL 30
#define PEM_SIZE_MAX     65536
#define THREADS_MAX      64

struct settings {
	struct webhook_options server;
	struct watched_file config;
	const char *watchdog_image; /* unless the configuration names one; NULL: this release's */
	struct watched_file certificate;
	struct watched_file key;
	bool self; /* certificates of our own making instead of the two files */
	struct certificate_names names;
	struct rotate_policy policy;
	unsigned kube_minor;                /* 0: unknown */
	const char *service_account_dir;    /* with ca.crt and token */
	struct breaker_place breaker;       /* namespace "": there is none */
	int64_t breaker_interval;           /* nanoseconds */
	const char *registry_docker_config; /* NULL: anonymous */
	const char *registry_ca_file;       /* NULL: the system's */
	int64_t drain;                      /* nanoseconds of not ready before the port closes */
	int64_t stop_timeout;               /* nanoseconds for the requests in flight */
};

static const char usage[] =
        "Usage: lastword-webhook --config FILE --tls-cert FILE --tls-key FILE [OPTION…]\n"
        "       lastword-webhook --config FILE --certs self --service NAME --namespace NAME\n"
        "                        --webhook-config NAME --secret NAME [OPTION…]\n"
        "Answers AdmissionReviews: prepares agent pods so that each exit becomes observable.\n"
        "\n"
        "  --config FILE        the configuration; read again when it changes\n"
        "  --watchdog-image IMAGE  of the sidecar, unless the configuration names one (default:\n"
        "                       that of this version)\n"
        "  --tls-cert FILE      certificate chain, PEM, leaf first; read again when it changes\n"
        "  --tls-key FILE       its key\n"
        "  --certs self         makes certificates itself, and publishes and renews them\n"
        "  --service NAME       the Service that they are for\n"
        "  --namespace NAME     of the Service and of the Secret\n"
        "  --webhook-config NAME  the MutatingWebhookConfiguration whose caBundles are kept\n"
        "  --secret NAME        where certificates and keys are kept\n"
        "  --cert-lifetime DURATION  of a certificate (default 720h)\n"
        "  --ca-lifetime DURATION  of a CA (default 8760h)\n"
        "  --propagation-delay DURATION  until every API server knows a new caBundle (default 5m)\n"
        "  --listen ADDR:PORT   the webhook, TLS (default :8443)\n"
        "  --metrics ADDR:PORT  /metrics, /healthz, /readyz, plain HTTP (default :9090)\n"
        "  --kube-version 1.N   the API server's version, for sidecar mode auto; in a cluster the\n"
        "                       server itself is asked\n"
        "  --service-account-dir DIR  with ca.crt and token for that (default: where Kubernetes "
        "puts them)\n"
        "  --breaker NAMESPACE/NAME  the ConfigMap with the state of the breaker: where it is "
        "open\n"
        "                       no pod is wrapped (default: none)\n"
        "  --breaker-interval DURATION  between two reads of it (default 5s)\n"
        "  --registry-docker-config FILE  credentials for the registries of resolveImages\n"
        "  --registry-ca-file FILE  their CA certificates, PEM (default: the system's)\n"
        "  --threads N          worker threads (default: two for each processor, at most 8)\n"
        "  --drain DURATION     after SIGTERM: not ready but still answering (default 5s)\n"
        "  --stop-timeout DURATION  then: time for requests in flight (default 10s)\n"
        "  --log-level LEVEL    debug, info, warning or error (default info)\n"
        "  --version, --help\n"
        "\n"
        "Exit status: 0 stopped by a signal, 1 failed, 2 usage.\n";

static bool take_threads(const char *value, void *target, struct error *error)
{
	unsigned long threads;
	if (!flag_number(value, THREADS_MAX, &threads, error))
		return false;
	*(unsigned *)target = (unsigned)threads;
	return true;
}

/* The kubelet leaves a $(NAME) in place that no environment variable resolves. */
static bool take_image(const char *value, void *target, struct error *error)
{
	if (*value == '\0' || strpbrk(value, " \t\r\n$") != NULL)
		return error_set(error, "expected an image, got \"%.100s\"", value);
	return flag_text(value, target, error);
}

static bool take_kube_version(const char *value, void *target, struct error *error)
{
	return kube_version_parse(value, target, error);
}

static bool take_certs(const char *value, void *target, struct error *error)
{
	*(bool *)target = strcmp(value, "self") == 0;
	return *(bool *)target || error_set(error, "expected self, got \"%s\"", value);
}

static bool take_breaker(const char *value, void *target, struct error *error)
{
	return breaker_place_parse(value, target, error);
}

static bool check_settings(struct settings *settings, struct error *error)
{
	const struct certificate_names *names = &settings->names;
	bool files = settings->certificate.path != NULL || settings->key.path != NULL;
	bool named = names->service != NULL || names->namespace != NULL ||
	             names->configuration != NULL || names->secret != NULL;
	if (settings->config.path == NULL ||
	    (!settings->self && (settings->certificate.path == NULL || settings->key.path == NULL)))
		return error_set(error, "expected --config, and --tls-cert and --tls-key or "
		                        "--certs self; see --help");
	if (!settings->self)
		return !named || error_set(error, "--service, --namespace, --webhook-config and "
		                                  "--secret belong to --certs self");
	if (files)
		return error_set(error, "expected --tls-cert and --tls-key or --certs self, not "
		                        "both");
	if (names->service == NULL || names->namespace == NULL || names->configuration == NULL ||
	    names->secret == NULL)
		return error_set(error, "--certs self: expected --service, --namespace, "
		                        "--webhook-config and --secret");
	return certificate_names_init(&settings->names, error) &&
	       rotate_check_policy(&settings->policy, error);
}

/* -1: go on; else the exit status. */
static int read_arguments(int argc, char **argv, struct settings *settings)
{
	struct webhook_options *server = &settings->server;
	const struct flag flags[] = {
	        {"config", flag_text, &settings->config.path},
	        {"watchdog-image", take_image, &settings->watchdog_image},
	        {"tls-cert", flag_text, &settings->certificate.path},
	        {"tls-key", flag_text, &settings->key.path},
	        {"certs", take_certs, &settings->self},
	        {"service", flag_text, &settings->names.service},
	        {"namespace", flag_text, &settings->names.namespace},
	        {"webhook-config", flag_text, &settings->names.configuration},
	        {"secret", flag_text, &settings->names.secret},
	        {"cert-lifetime", flag_duration, &settings->policy.leaf_lifetime},
	        {"ca-lifetime", flag_duration, &settings->policy.ca_lifetime},
	        {"propagation-delay", flag_duration, &settings->policy.propagation_delay},
	        {"listen", flag_text, &server->listen},
	        {"metrics", flag_text, &server->metrics},
	        {"kube-version", take_kube_version, &settings->kube_minor},
	        {"service-account-dir", flag_text, &settings->service_account_dir},
	        {"breaker", take_breaker, &settings->breaker},
	        {"breaker-interval", flag_span, &settings->breaker_interval},
	        {"registry-docker-config", flag_text, &settings->registry_docker_config},
	        {"registry-ca-file", flag_text, &settings->registry_ca_file},
	        {"threads", take_threads, &server->threads},
	        {"drain", flag_duration, &settings->drain},
	        {"stop-timeout", flag_duration, &settings->stop_timeout},
	        {"log-level", flag_log_level, NULL},
	};
	struct error error;
	int status = flags_read("lastword-webhook", usage, flags, sizeof flags / sizeof flags[0],
	                        argc, argv);
	if (status >= 0 || check_settings(settings, &error))
		return status;
	fprintf(stderr, "lastword-webhook: %s\n", error.message);
	return FLAGS_EXIT_USAGE;
}

/* ---- What changes while it runs ---- */

static bool load_config(const struct settings *settings, struct config **ret_config,
                        struct error *error)
{
	if (!config_load(settings->config.path, ret_config, error))
		return false;
	config_set_default_image(*ret_config, settings->watchdog_image);
	return true;
}

static void reload_config(struct webhook_server *server, struct settings *settings)
{
	struct config *config;
	struct error error;
	if (!watched_file_changed(&settings->config))
		return;
	if (!load_config(settings, &config, &error)) {
		webhook_config_failed(server);
		log_message(LOG_ERROR, "the new configuration is refused, the last good one stays",
		            "error", error.message, NULL);
		return;
	}
	char hash[sizeof config->hash];
	memcpy(hash, config->hash, sizeof hash);
	webhook_set_config(server, config);
	log_message(LOG_INFO, "configuration in force", "file", settings->config.path, "config",
	            hash, NULL);
}

static bool load_identity(struct webhook_server *server, const struct settings *settings,
                          struct error *error)
{
	struct buffer _cleanup_buffer_ chain;
	struct buffer _cleanup_buffer_ key;
	buffer_init(&chain, PEM_SIZE_MAX);
	buffer_init_secret(&key, PEM_SIZE_MAX);
	return file_read(settings->certificate.path, &chain, error) &&
	       file_read(settings->key.path, &key, error) &&
	       webhook_set_identity(server, buffer_text(&chain), buffer_text(&key), error);
}

/* The two files of a pair change one after the other: a pair that does not match is tried again at
 * every poll, and logged once for every change. */
static void reload_identity(struct webhook_server *server, struct settings *settings, bool *failed)
{
	struct error error;
	bool changed = watched_file_changed(&settings->certificate);
	changed = watched_file_changed(&settings->key) || changed;
	if (!changed && !*failed)
		return;
	*failed = !load_identity(server, settings, &error);
	if (!*failed)
		log_message(LOG_INFO, "certificate in use", "file", settings->certificate.path,
		            NULL);
	else if (changed)
		log_message(LOG_ERROR, "the certificate is refused, the one in use stays", "error",
		            error.message, NULL);
}

/* ---- Certificates of our own making: hooks of the certificate manager, which calls them on its
 * thread ---- */

static bool use_certificate(void *context, const char *chain, const char *key, struct error *error)
{
	return webhook_set_identity(context, chain, key, error);
}

static void set_not_ready_reason(void *context, const char *reason)
{
	webhook_set_obstacle(context, reason);
}

static void count_failure(void *context)
{
	webhook_count_certificate_failure(context);
}

static const struct {
	enum log_level level;
	const char *message;
} event_lines[] = {
        [CERTIFICATE_SECRET_WRITTEN] = {LOG_INFO, "certificates: wrote the Secret"},
        [CERTIFICATE_CA_CREATED] = {LOG_INFO, "certificates: created a new CA"},
        [CERTIFICATE_BUNDLES_WRITTEN] = {LOG_INFO, "certificates: wrote the caBundles"},
        [CERTIFICATE_IN_USE] = {LOG_INFO, "certificate in use"},
        [CERTIFICATE_WAITING] = {LOG_INFO, "certificates: waiting"},
        [CERTIFICATE_RECONCILE_FAILED] =
                {LOG_ERROR, "cannot reconcile the certificates; the one in use stays in use"},
        [CERTIFICATE_RECONCILE_RECOVERED] = {LOG_INFO, "the certificates are reconciled again"},
        [CERTIFICATE_EXPIRING] = {LOG_WARNING,
                                  "the certificate is about to expire and is not renewed"},
};

static void log_certificate_event(void *context, const struct certificate_event *event)
{
	if (event->type == CERTIFICATE_IN_USE)
		webhook_count_rotation(context, WEBHOOK_ROTATION_CERTIFICATE);
	if (event->type == CERTIFICATE_CA_CREATED)
		webhook_count_rotation(context, WEBHOOK_ROTATION_CA);
	struct log_line line;
	log_begin(&line, event->repair ? LOG_WARNING : event_lines[event->type].level,
	          event_lines[event->type].message);
	log_text(&line, "reason", event->reason);
	log_text(&line, "error", event->error);
	log_end(&line);
}

static bool start_certificate_manager(struct webhook_server *server,
                                      const struct settings *settings,
                                      struct certificate_manager **ret_manager, struct error *error)
{
	const struct certificate_manager_options options = {
	        .names = settings->names,
	        .policy = settings->policy,
	        .service_account_dir = settings->service_account_dir,
	        .context = server,
	        .use_certificate = use_certificate,
	        .set_not_ready_reason = set_not_ready_reason,
	        .report_event = log_certificate_event,
	        .count_failure = count_failure};
	if (!settings->self)
		return true;
	webhook_set_obstacle(server, "no certificate yet");
	return certificate_manager_start(&options, ret_manager, error);
}

/* ---- What registries say of images ---- */

static void count_resolution(void *context, bool ok)
{
	webhook_count_image_resolution(context, ok);
}

static bool start_image_resolver(struct webhook_server *server, const struct settings *settings,
                                 struct image_resolver **ret_resolver, struct error *error)
{
	const struct image_resolver_options options = {.docker_config =
	                                                       settings->registry_docker_config,
	                                               .ca_file = settings->registry_ca_file,
	                                               .cache = settings->server.images,
	                                               .resolved = count_resolution,
	                                               .context = server};
	return image_resolver_start(&options, ret_resolver, error);
}

/* ---- The breaker ---- */

static bool start_breaker(struct settings *settings, struct breaker_reader **ret_reader,
                          struct error *error)
{
	if (settings->breaker.namespace[0] == '\0')
		return true;
	settings->server.breaker = breaker_table_new();
	const struct breaker_reader_options options = {.service_account_dir =
	                                                       settings->service_account_dir,
	                                               .namespace = settings->breaker.namespace,
	                                               .name = settings->breaker.name,
	                                               .interval = settings->breaker_interval,
	                                               .table = settings->server.breaker};
	return settings->server.breaker == NULL
	               ? error_set(error, "no memory for the breaker's state")
	               : breaker_reader_start(&options, ret_reader, error);
}

static bool request_version(const struct settings *settings, unsigned *ret_minor,
                            struct error *error)
{
	struct kube_client *_cleanup_kube_client_ client = NULL;
	return kube_client_new(settings->service_account_dir, &client, error) &&
	       kube_server_minor(client, ret_minor, error);
}

/* Asks the API server for its version until it responds, and logs once if it does not. The version
 * is not asked for again: what is safe for an older server is safe for a newer one. */
static void learn_version(struct webhook_server *server, struct settings *settings, unsigned poll)
{
	struct error error;
	if (settings->kube_minor != 0 || poll % VERSION_INTERVAL != 0 || !kube_in_cluster())
		return;
	if (!request_version(settings, &settings->kube_minor, &error)) {
		log_message(poll == 0 ? LOG_WARNING : LOG_DEBUG,
		            "the API server's version is not known, sidecar mode auto is classic",
		            "error", error.message, NULL);
		return;
	}
	webhook_set_server_minor(server, settings->kube_minor);
	struct log_line line;
	log_begin(&line, LOG_INFO, "the API server's version is known");
	log_integer(&line, "minor", settings->kube_minor);
	log_end(&line);
}

/* Checks the files every second until a signal arrives. */
static void run(struct webhook_server *server, struct settings *settings, int signals)
{
	bool identity_failed = false;
	for (unsigned poll_count = 0;; poll_count++) {
		if (!settings->self)
			reload_identity(server, settings, &identity_failed);
		if (poll_count == 0)
			log_message(LOG_INFO, "listening", "version", LASTWORD_VERSION, "webhook",
			            webhook_address(server), "metrics",
			            webhook_metrics_address(server), NULL);
		reload_config(server, settings);
		learn_version(server, settings, poll_count);
		struct pollfd poll_signals = {.fd = signals, .events = POLLIN};
		if (poll(&poll_signals, 1, POLL_MILLISECONDS) > 0)
			return;
	}
}

/* The webhook is not ready but still responds during the drain time, since Services learn of it
 * late. A second signal ends the wait. */
static void drain(struct webhook_server *server, const struct settings *settings, int signals)
{
	struct signalfd_siginfo signal;
	ssize_t got = read(signals, &signal, sizeof signal);
	(void)got;
	log_message(LOG_INFO, "stopping", NULL);
	webhook_drain(server);
	struct pollfd poll_signals = {.fd = signals, .events = POLLIN};
	int64_t milliseconds = settings->drain / MILLISECOND;
	poll(&poll_signals, 1, milliseconds > INT32_MAX ? INT32_MAX : (int)milliseconds);
}

/* The signals are blocked before any thread starts, so that signalfd alone receives them. */
static int block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* malloc uses few arenas and returns large bodies to the system at once, which keeps memory low. */
static void tune_memory(void)
{
	mallopt(M_ARENA_MAX, 8);
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	mallopt(M_TRIM_THRESHOLD, 512 * 1024);
}

/* Two for each processor, since the kernel spreads connections unevenly over the threads. */
static unsigned default_threads(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	return processors < 1 ? 2 : processors > 4 ? 8 : 2 * (unsigned)processors;
}

/* Takes over the configuration; on failure it is freed. */
static bool start_server(struct settings *settings, struct config *config,
                         struct webhook_server **ret_server, struct error *error)
{
	settings->server.images = image_cache_new();
	if (settings->server.images == NULL)
		error_set(error, "no memory for the images that registries are asked about");
	else if (webhook_start(&settings->server, ret_server, error)) {
		webhook_set_config(*ret_server, config);
		webhook_set_server_minor(*ret_server, settings->kube_minor);
		return true;
	}
	config_free(config);
	return false;
}

/* What runs beside the server. */
struct helpers {
	struct breaker_reader *breaker;
	struct certificate_manager *manager;
	struct image_resolver *resolver;
};

static void stop_helpers(struct helpers *helpers)
{
	certificate_manager_stop(helpers->manager);
	image_resolver_stop(helpers->resolver);
	breaker_reader_stop(helpers->breaker);
	*helpers = (struct helpers){.manager = NULL};
}

static void free_tables(const struct settings *settings)
{
	image_cache_free(settings->server.images);
	breaker_table_free(settings->server.breaker);
}

/* Takes over the configuration. On failure nothing runs, and all is freed. */
static bool start(struct settings *settings, struct config *config, struct helpers *helpers,
                  struct webhook_server **ret_server, struct error *error)
{
	/* Before the first review, so that none is decided without the breaker's state. */
	if (!start_breaker(settings, &helpers->breaker, error)) {
		config_free(config);
		free_tables(settings);
		return false;
	}
	if (!start_server(settings, config, ret_server, error)) {
		stop_helpers(helpers);
		free_tables(settings);
		return false;
	}
	if (start_certificate_manager(*ret_server, settings, &helpers->manager, error) &&
	    start_image_resolver(*ret_server, settings, &helpers->resolver, error))
		return true;
	stop_helpers(helpers);
	webhook_stop(*ret_server, 0);
	free_tables(settings);
	return false;
}

int main(int argc, char **argv)
{
	struct settings settings = {
	        .server = {.listen = ":8443", .metrics = ":9090", .threads = default_threads()},
	        .service_account_dir = KUBE_SERVICE_ACCOUNT_DIR,
	        .policy = {.leaf_lifetime = INT64_C(720) * 3600 * SECOND,
	                   .ca_lifetime = INT64_C(8760) * 3600 * SECOND,
	                   .propagation_delay = 300 * SECOND},
	        .breaker_interval = 5 * SECOND,
	        .drain = 5 * SECOND,
	        .stop_timeout = 10 * SECOND,
	};
	int status = read_arguments(argc, argv, &settings);
	if (status >= 0)
		return status;

	tune_memory();
	files_raise_limit();
	struct error error;
	struct config *config;
	watched_file_changed(&settings.config);
	if (!load_config(&settings, &config, &error))
		return log_cannot_start(&error);
	int signals = block_signals();
	struct webhook_server *server;
	struct helpers helpers = {.manager = NULL};
	if (signals < 0) {
		error_set_errno(&error, errno, "signals");
		config_free(config);
		return log_cannot_start(&error);
	}
	if (!start(&settings, config, &helpers, &server, &error))
		return log_cannot_start(&error);
	run(server, &settings, signals);
	certificate_manager_stop(helpers.manager);
	helpers.manager = NULL;
	drain(server, &settings, signals);
	stop_helpers(&helpers);
	webhook_stop(server, (unsigned)(settings.stop_timeout / SECOND));
	free_tables(&settings);
	close(signals);
	log_message(LOG_INFO, "stopped", NULL);
	return EXIT_SUCCESS;
}
