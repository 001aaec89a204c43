/* lastword-webhook: wires the server to its files, its signals and the cluster. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/duration.h"
#include "lib/files.h"
#include "lib/kube_client.h"
#include "lib/kube_version.h"
#include "lib/log.h"
#include "webhook/config.h"
#include "webhook/server.h"

/* How often the files are looked at. */
#define POLL_MILLISECONDS 1000
/* How often the API server is asked for its version until it has answered, in polls. */
#define ASK_INTERVAL 30
#define PEM_SIZE_MAX 65536
#define THREADS_MAX  64

enum exit_status { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct settings {
	struct webhook_options server;
	struct watched_file config;
	struct watched_file certificate;
	struct watched_file key;
	unsigned kube_minor;  /* 0: unknown */
	const char *account;  /* folder of the service account */
	int64_t drain;        /* nanoseconds of not ready before the port closes */
	int64_t stop_timeout; /* nanoseconds for the requests in flight */
};

static const char usage[] =
        "Usage: lastword-webhook --config FILE --tls-cert FILE --tls-key FILE [OPTION…]\n"
        "Answers AdmissionReviews: prepares agent pods so that no death goes unseen.\n"
        "\n"
        "  --config FILE        the configuration; read again when it changes\n"
        "  --tls-cert FILE      certificate chain, PEM, leaf first; read again when it changes\n"
        "  --tls-key FILE       its key\n"
        "  --listen ADDR:PORT   the webhook, TLS (default :8443)\n"
        "  --metrics ADDR:PORT  /metrics, /healthz, /readyz, plain HTTP (default :9090)\n"
        "  --kube-version 1.N   the API server's version, for sidecar mode auto; in a cluster the\n"
        "                       server itself is asked\n"
        "  --account DIR        with ca.crt and token for that (default: where Kubernetes puts "
        "them)\n"
        "  --threads N          worker threads (default: two for each processor, at most 8)\n"
        "  --drain DURATION     after SIGTERM: not ready but still answering (default 5s)\n"
        "  --stop-timeout DURATION  then: time for requests in flight (default 10s)\n"
        "  --log-level LEVEL    debug, info, warning or error (default info)\n"
        "  --version, --help\n"
        "\n"
        "Exit status: 0 stopped by a signal, 1 failed, 2 usage.\n";

enum option_code {
	OPTION_CONFIG = 1,
	OPTION_TLS_CERT,
	OPTION_TLS_KEY,
	OPTION_LISTEN,
	OPTION_METRICS,
	OPTION_KUBE_VERSION,
	OPTION_ACCOUNT,
	OPTION_THREADS,
	OPTION_DRAIN,
	OPTION_STOP_TIMEOUT,
	OPTION_LOG_LEVEL,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
        {"config", required_argument, NULL, OPTION_CONFIG},
        {"tls-cert", required_argument, NULL, OPTION_TLS_CERT},
        {"tls-key", required_argument, NULL, OPTION_TLS_KEY},
        {"listen", required_argument, NULL, OPTION_LISTEN},
        {"metrics", required_argument, NULL, OPTION_METRICS},
        {"kube-version", required_argument, NULL, OPTION_KUBE_VERSION},
        {"account", required_argument, NULL, OPTION_ACCOUNT},
        {"threads", required_argument, NULL, OPTION_THREADS},
        {"drain", required_argument, NULL, OPTION_DRAIN},
        {"stop-timeout", required_argument, NULL, OPTION_STOP_TIMEOUT},
        {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
};

static bool parse_number(const char *text, unsigned long most, unsigned *ret_value)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || value == 0 ||
	    value > most)
		return false;
	*ret_value = (unsigned)value;
	return true;
}

static bool parse_span(const char *text, int64_t *ret_nanoseconds, struct error *error)
{
	int64_t value;
	if (!duration_parse(text, &value, error))
		return false;
	if (value < 0)
		return error_set(error, "expected a duration of 0 or more, got \"%s\"", text);
	*ret_nanoseconds = value;
	return true;
}

static bool take_option(int code, const char *value, struct settings *settings, struct error *error)
{
	enum log_level level;
	switch (code) {
	case OPTION_CONFIG:
		settings->config.path = value;
		return true;
	case OPTION_TLS_CERT:
		settings->certificate.path = value;
		return true;
	case OPTION_TLS_KEY:
		settings->key.path = value;
		return true;
	case OPTION_LISTEN:
		settings->server.listen = value;
		return true;
	case OPTION_METRICS:
		settings->server.metrics = value;
		return true;
	case OPTION_KUBE_VERSION:
		return kube_version_parse(value, &settings->kube_minor, error);
	case OPTION_ACCOUNT:
		settings->account = value;
		return true;
	case OPTION_THREADS:
		return parse_number(value, THREADS_MAX, &settings->server.threads) ||
		       error_set(error, "expected 1 to %d threads, got \"%s\"", THREADS_MAX, value);
	case OPTION_DRAIN:
		return parse_span(value, &settings->drain, error);
	case OPTION_STOP_TIMEOUT:
		return parse_span(value, &settings->stop_timeout, error);
	case OPTION_LOG_LEVEL:
		if (!log_level_parse(value, &level))
			return error_set(
			        error, "expected debug, info, warning or error, got \"%s\"", value);
		log_set_level(level);
		return true;
	default:
		return error_set(error, "unknown option");
	}
}

/* -1: go on; else the exit status. */
static int read_arguments(int argc, char **argv, struct settings *settings)
{
	int code;
	int index = 0;
	while ((code = getopt_long(argc, argv, "", long_options, &index)) != -1) {
		struct error error = {""};
		if (code == OPTION_HELP) {
			fputs(usage, stdout);
			return EXIT_OK;
		}
		if (code == OPTION_VERSION) {
			puts("lastword-webhook " LASTWORD_VERSION);
			return EXIT_OK;
		}
		if (code == '?')
			return EXIT_USAGE; /* getopt has said it */
		if (!take_option(code, optarg, settings, &error)) {
			fprintf(stderr, "lastword-webhook: --%s: %s\n", long_options[index].name,
			        error.message);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "lastword-webhook: unexpected argument \"%s\"\n", argv[optind]);
		return EXIT_USAGE;
	}
	if (settings->config.path == NULL || settings->certificate.path == NULL ||
	    settings->key.path == NULL) {
		fputs("lastword-webhook: expected --config, --tls-cert and --tls-key; see --help\n",
		      stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/* ---- What changes while it runs ---- */

static void reload_config(struct webhook_server *server, struct settings *settings)
{
	struct config *config;
	struct error error;
	if (!watched_file_changed(&settings->config))
		return;
	if (!config_load(settings->config.path, &config, &error)) {
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
	struct buffer chain;
	struct buffer key;
	buffer_init(&chain, PEM_SIZE_MAX);
	buffer_init(&key, PEM_SIZE_MAX);
	bool loaded = file_read(settings->certificate.path, &chain, error) &&
	              file_read(settings->key.path, &key, error) &&
	              webhook_set_identity(server, buffer_text(&chain), buffer_text(&key), error);
	if (key.data != NULL)
		explicit_bzero(key.data, key.capacity);
	buffer_free(&key);
	buffer_free(&chain);
	return loaded;
}

/* The two files of a pair change one after the other: a pair that does not fit is tried again at
 * every look, and said once for every change. */
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

static bool ask_once(const struct settings *settings, unsigned *ret_minor, struct error *error)
{
	struct kube_client *_cleanup_kube_client_ client = NULL;
	return kube_client_new(settings->account, &client, error) &&
	       kube_server_minor(client, ret_minor, error);
}

/* Asks until there is an answer: the version of a running API server may rise, but what was safe
 * for the older one still is. Says once that there is none. */
static void ask_version(struct webhook_server *server, struct settings *settings, unsigned poll)
{
	struct error error;
	if (settings->kube_minor != 0 || poll % ASK_INTERVAL != 0 || !kube_in_cluster())
		return;
	if (!ask_once(settings, &settings->kube_minor, &error)) {
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

/* Looks at the files every second until a signal comes. */
static void run(struct webhook_server *server, struct settings *settings, int signals)
{
	bool identity_failed = false;
	for (unsigned poll_count = 0;; poll_count++) {
		reload_identity(server, settings, &identity_failed);
		reload_config(server, settings);
		ask_version(server, settings, poll_count);
		struct pollfd poll_signals = {.fd = signals, .events = POLLIN};
		if (poll(&poll_signals, 1, POLL_MILLISECONDS) > 0)
			return;
	}
}

/* Not ready, but answering, for the drain time: Services learn of it late. A second signal ends
 * the wait. */
static void drain(struct webhook_server *server, const struct settings *settings, int signals)
{
	struct signalfd_siginfo signal;
	ssize_t got = read(signals, &signal, sizeof signal);
	(void)got;
	log_message(LOG_INFO, "stopping", NULL);
	webhook_drain(server);
	struct pollfd poll_signals = {.fd = signals, .events = POLLIN};
	int64_t milliseconds = settings->drain / 1000000;
	poll(&poll_signals, 1, milliseconds > INT32_MAX ? INT32_MAX : (int)milliseconds);
}

/* Blocked before any thread starts, so that all of them leave the signals to signalfd. */
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

/* Few arenas, and large bodies given back to the system at once: a small, flat footprint. */
static void tune_memory(void)
{
	mallopt(M_ARENA_MAX, 8);
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	mallopt(M_TRIM_THRESHOLD, 512 * 1024);
}

/* The soft limit of open files is often 1024, fewer than the connections that are served. */
static void raise_file_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* More than one for each processor: the kernel spreads connections unevenly over the workers. */
static unsigned default_threads(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	return processors < 1 ? 2 : processors > 4 ? 8 : 2 * (unsigned)processors;
}

static int fail(const struct error *error)
{
	log_message(LOG_ERROR, "cannot start", "error", error->message, NULL);
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct settings settings = {
	        .server = {.listen = ":8443", .metrics = ":9090", .threads = default_threads()},
	        .account = KUBE_ACCOUNT,
	        .drain = 5 * DURATION_SECOND,
	        .stop_timeout = 10 * DURATION_SECOND,
	};
	int status = read_arguments(argc, argv, &settings);
	if (status >= 0)
		return status;

	tune_memory();
	raise_file_limit();
	struct error error;
	struct config *config;
	watched_file_changed(&settings.config);
	if (!config_load(settings.config.path, &config, &error))
		return fail(&error);
	int signals = block_signals();
	struct webhook_server *server;
	if (signals < 0)
		error_set_errno(&error, errno, "signals");
	if (signals < 0 || !webhook_start(&settings.server, &server, &error)) {
		config_free(config);
		return fail(&error);
	}
	webhook_set_config(server, config);
	webhook_set_server_minor(server, settings.kube_minor);
	log_message(LOG_INFO, "listening", "version", LASTWORD_VERSION, "webhook",
	            webhook_address(server), "metrics", webhook_metrics_address(server), NULL);

	run(server, &settings, signals);
	drain(server, &settings, signals);
	webhook_stop(server, (unsigned)(settings.stop_timeout / DURATION_SECOND));
	close(signals);
	log_message(LOG_INFO, "stopped", NULL);
	return EXIT_OK;
}
