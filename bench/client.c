/*
 * client: an HTTPS client that sends one request over and over, for bench/webhook.py. A thread for
 * each connection, HTTP/1.1, TLS by OpenSSL with the API server's preferences.
 *
 *   client PORT BODY SECONDS CONNECTIONS MODE RATE
 *
 * MODE keep-alive: each connection carries many requests.
 * MODE new:        a connection with a full handshake for each request.
 * MODE resumed:    the same, with the session of the connection before where it has a ticket.
 *
 * RATE 0: closed loop, the next request follows when the response has come.
 * RATE N: open loop, N requests a second in all, sent by a schedule that does not wait for
 *         responses. A latency counts from the scheduled time: a request that is sent late, since
 *         the one before it was answered late, was waiting (else "coordinated omission" hides it).
 *
 * Prints one JSON object: requests, errors, resumed (handshakes), seconds, and the 50th, 99th and
 * 99.9th percentile of the latency in microseconds. Certificates are not checked.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND       INT64_C(1000000000)
#define RESPONSE_MAX (64 * 1024)
#define REQUEST_MAX  ((size_t)4 * 1024 * 1024)
#define LATENCY_MAX  ((size_t)4 * 1000 * 1000)

enum mode { MODE_KEEP_ALIVE, MODE_NEW, MODE_RESUMED, MODE_COUNT };
static const char *const mode_names[] = {"keep-alive", "new", "resumed"};

struct worker {
	pthread_t thread;
	unsigned number;
	SSL *tls; /* NULL: no connection */
	SSL_SESSION *session;
	int64_t *latencies; /* nanoseconds */
	size_t requests;
	size_t errors;
	size_t resumed;
};

static SSL_CTX *context;
static uint16_t port;
static enum mode mode;
static unsigned connections;
static int64_t rate;
static int64_t start;
static int64_t end;
static char request[REQUEST_MAX];
static size_t request_length;
static size_t latency_max; /* of one worker */

static int64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "client: %s\n", what);
	exit(2);
}

static void hang_up(struct worker *worker)
{
	if (worker->tls == NULL)
		return;
	int fd = SSL_get_fd(worker->tls);
	SSL_set_shutdown(worker->tls, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(worker->tls);
	close(fd);
	worker->tls = NULL;
}

/* A ticket arrives after the handshake, while the response is read. */
static int on_session(SSL *tls, SSL_SESSION *session)
{
	struct worker *worker = SSL_get_app_data(tls);
	if (mode != MODE_RESUMED)
		return 0;
	SSL_SESSION_free(worker->session);
	worker->session = session;
	return 1;
}

static bool dial(struct worker *worker)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons(port),
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	/* A reset instead of TIME_WAIT: else the ports are used up within seconds. */
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	worker->tls = SSL_new(context);
	if (worker->tls == NULL)
		die("no memory");
	SSL_set_fd(worker->tls, fd);
	SSL_set_app_data(worker->tls, worker);
	if (worker->session != NULL)
		SSL_set_session(worker->tls, worker->session);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
	    SSL_connect(worker->tls) != 1) {
		hang_up(worker);
		return false;
	}
	worker->resumed += SSL_session_reused(worker->tls) == 1;
	return true;
}

/* Reads one response; true if it is whole, says 200 and its body allows something. */
static bool read_response(SSL *tls)
{
	char response[RESPONSE_MAX + 1];
	size_t length = 0;
	size_t whole = SIZE_MAX;
	while (length < whole) {
		int got = SSL_read(tls, response + length, (int)(RESPONSE_MAX - length));
		if (got <= 0)
			return false;
		length += (size_t)got;
		response[length] = '\0';
		const char *body = strstr(response, "\r\n\r\n");
		const char *announced = strcasestr(response, "content-length:");
		if (body != NULL && announced != NULL && whole == SIZE_MAX)
			whole = (size_t)(body + 4 - response) + strtoul(announced + 15, NULL, 10);
		if (length == RESPONSE_MAX)
			return false;
	}
	return strncmp(response, "HTTP/1.1 200", 12) == 0 &&
	       strstr(response, "\"allowed\":true") != NULL;
}

static bool exchange(struct worker *worker)
{
	return (worker->tls != NULL || dial(worker)) &&
	       SSL_write(worker->tls, request, (int)request_length) > 0 &&
	       read_response(worker->tls);
}

static void sleep_until(int64_t time)
{
	const struct timespec moment = {.tv_sec = time / SECOND, .tv_nsec = time % SECOND};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	prctl(PR_SET_TIMERSLACK, 1); /* else the kernel wakes it up to 50 us late */
	for (int64_t i = 0; worker->requests < latency_max; i++) {
		int64_t due = now();
		if (rate > 0) {
			due = start + (i * connections + worker->number) * SECOND / rate;
			if (due < end)
				sleep_until(due);
		}
		if (due >= end)
			break;
		bool good = exchange(worker);
		worker->latencies[worker->requests++] = now() - due;
		worker->errors += !good;
		if (!good || mode != MODE_KEEP_ALIVE)
			hang_up(worker);
	}
	hang_up(worker);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a;
	int64_t right = *(const int64_t *)b;
	return (left > right) - (left < right);
}

static void print(struct worker *workers)
{
	size_t requests = 0;
	size_t errors = 0;
	size_t resumed = 0;
	for (unsigned i = 0; i < connections; i++)
		requests += workers[i].requests;
	int64_t *all = calloc(requests + 1, sizeof *all);
	if (all == NULL)
		die("no memory");
	size_t filled = 0;
	for (unsigned i = 0; i < connections; i++) {
		memcpy(all + filled, workers[i].latencies, workers[i].requests * sizeof *all);
		filled += workers[i].requests;
		errors += workers[i].errors;
		resumed += workers[i].resumed;
	}
	qsort(all, requests, sizeof *all, compare);
	const size_t last = requests > 0 ? requests - 1 : 0;
	printf("{\"requests\":%zu,\"errors\":%zu,\"resumed\":%zu,\"seconds\":%.3f,\"p50\":%.1f,"
	       "\"p99\":%.1f,\"p999\":%.1f}\n",
	       requests, errors, resumed, (double)(now() - start) / (double)SECOND,
	       (double)all[last / 2] / 1e3, (double)all[last * 99 / 100] / 1e3,
	       (double)all[last * 999 / 1000] / 1e3);
	free(all);
}

static void read_request(const char *path)
{
	FILE *file = fopen(path, "rb");
	static char body[REQUEST_MAX - 512];
	size_t length = file == NULL ? 0 : fread(body, 1, sizeof body, file);
	if (length == 0 || length == sizeof body)
		die("cannot read the body");
	fclose(file);
	int header = snprintf(request, 512,
	                      "POST /mutate HTTP/1.1\r\nHost: localhost\r\n%s"
	                      "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	                      mode == MODE_KEEP_ALIVE ? "" : "Connection: close\r\n", length);
	memcpy(request + header, body, length);
	request_length = (size_t)header + length;
}

int main(int argc, char **argv)
{
	if (argc != 7)
		die("usage: client PORT BODY SECONDS CONNECTIONS MODE RATE");
	port = (uint16_t)strtoul(argv[1], NULL, 10);
	connections = (unsigned)strtoul(argv[4], NULL, 10);
	rate = strtol(argv[6], NULL, 10);
	while (mode < MODE_COUNT && strcmp(argv[5], mode_names[mode]) != 0)
		mode++;
	if (mode == MODE_COUNT || connections == 0)
		die("usage: client PORT BODY SECONDS CONNECTIONS MODE RATE");
	read_request(argv[2]);
	signal(SIGPIPE, SIG_IGN);
	context = SSL_CTX_new(TLS_client_method());
	/* The order of Go's crypto/tls, which the API server is written with. */
	if (context == NULL ||
	    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
	                                      "TLS_CHACHA20_POLY1305_SHA256") != 1 ||
	    SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384:P-521") != 1)
		die("no TLS context");
	SSL_CTX_set_session_cache_mode(context,
	                               SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(context, on_session);
	struct worker *workers = calloc(connections, sizeof *workers);
	if (workers == NULL)
		die("no memory");
	latency_max = LATENCY_MAX / connections;
	for (unsigned i = 0; i < connections; i++) {
		workers[i].number = i;
		workers[i].latencies = malloc(latency_max * sizeof(int64_t));
		if (workers[i].latencies == NULL)
			die("no memory");
		/* The open loop starts with its connections made, as the API server has them. */
		if (mode == MODE_KEEP_ALIVE && !dial(&workers[i]))
			die("cannot connect");
	}
	start = now();
	end = start + strtol(argv[3], NULL, 10) * SECOND;
	for (unsigned i = 0; i < connections; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			die("no thread");
	for (unsigned i = 0; i < connections; i++)
		pthread_join(workers[i].thread, NULL);
	print(workers);
	return 0;
}
