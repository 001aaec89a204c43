#include "lib/http/server.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/http/tls_identity.h"

#define REAPER_INTERVAL_MS 500
/* MHD's own inactivity timeout, behind all of ours. */
#define INACTIVITY_MARGIN_SECONDS 30

/* An open connection; in the server's list from its start to its end. */
struct connection {
	struct connection *previous;
	struct connection *next;
	int fd;
	_Atomic int64_t deadline;
	bool shut; /* by the reaper, once */
};

struct http_server {
	struct http_server_options options;
	struct MHD_Daemon *daemon;
	struct tls_identities *identities; /* NULL: plain */
	int listener;                      /* -1 once nothing more is accepted */
	char address[80];
	_Atomic bool draining;
	_Atomic size_t bodies;     /* bytes */
	_Atomic unsigned requests; /* in flight */
	_Atomic uint64_t overloaded;
	_Atomic uint64_t timed_out;
	_Atomic uint64_t connection_count;

	pthread_mutex_t lock; /* of what follows */
	struct connection *connections;
	pthread_cond_t stop;
	bool stopping;
	pthread_t reaper;
};

/* A request being received. */
struct exchange {
	struct http_server *server;
	struct buffer body;
	size_t reserved; /* of server->bodies */
	bool too_large;
	bool overloaded;
};

bool http_server_set_identity(struct http_server *server, const char *chain_pem,
                              const char *key_pem, time_t *ret_not_before, time_t *ret_not_after,
                              struct error *error)
{
	return tls_identities_set(server->identities, chain_pem, key_pem, ret_not_before,
	                          ret_not_after, error);
}

/* ---- Connections and their deadlines ---- */

static void connection_opened(struct http_server *server, struct MHD_Connection *mhd,
                              void **socket_context)
{
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *connection = calloc(1, sizeof *connection);
	if (connection == NULL || info == NULL) {
		free(connection);
		return; /* without a deadline of ours, but with MHD's */
	}
	connection->fd = info->connect_fd;
	atomic_init(&connection->deadline, clock_now() + server->options.header_seconds * SECOND);
	atomic_fetch_add(&server->connection_count, 1);

	pthread_mutex_lock(&server->lock);
	connection->next = server->connections;
	if (server->connections != NULL)
		server->connections->previous = connection;
	server->connections = connection;
	pthread_mutex_unlock(&server->lock);
	*socket_context = connection;
}

/* MHD calls this before it closes the socket, so the reaper never shuts down another's. */
static void connection_closed(struct http_server *server, void **socket_context)
{
	struct connection *connection = *socket_context;
	if (connection == NULL)
		return;
	pthread_mutex_lock(&server->lock);
	if (connection->previous != NULL)
		connection->previous->next = connection->next;
	else
		server->connections = connection->next;
	if (connection->next != NULL)
		connection->next->previous = connection->previous;
	pthread_mutex_unlock(&server->lock);
	atomic_fetch_sub(&server->connection_count, 1);
	free(connection);
	*socket_context = NULL;
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		connection_opened(context, mhd, socket_context);
	else
		connection_closed(context, socket_context);
}

static void set_deadline(struct MHD_Connection *mhd, unsigned seconds)
{
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct connection *connection = info == NULL ? NULL : info->socket_context;
	if (connection != NULL)
		atomic_store(&connection->deadline, clock_now() + seconds * SECOND);
}

static void shut_overdue(struct http_server *server)
{
	int64_t time = clock_now();
	for (struct connection *c = server->connections; c != NULL; c = c->next) {
		if (c->shut || atomic_load(&c->deadline) > time)
			continue;
		c->shut = true;
		atomic_fetch_add(&server->timed_out, 1);
		shutdown(c->fd, SHUT_RDWR);
	}
}

static void *reap(void *argument)
{
	struct http_server *server = argument;
	pthread_mutex_lock(&server->lock);
	while (!server->stopping) {
		shut_overdue(server);
		int64_t wake = clock_now() + REAPER_INTERVAL_MS * (SECOND / 1000);
		struct timespec time = {.tv_sec = wake / SECOND, .tv_nsec = wake % SECOND};
		pthread_cond_timedwait(&server->stop, &server->lock, &time);
	}
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

/* ---- Requests ---- */

static enum MHD_Result queue(struct http_server *server, struct MHD_Connection *mhd,
                             struct http_response *response)
{
	size_t length = response->body.length;
	unsigned status = response->status;
	char *body = buffer_steal(&response->body);
	if (body == NULL && length > 0) { /* did not fit, or no memory */
		length = 0;
		status = MHD_HTTP_INTERNAL_SERVER_ERROR;
	}
	struct MHD_Response *message = MHD_create_response_from_buffer(
	        length, body == NULL ? (void *)"" : body,
	        body == NULL ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
	if (message == NULL) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(message, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type);
	if (response->allow != NULL)
		MHD_add_response_header(message, MHD_HTTP_HEADER_ALLOW, response->allow);
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
		MHD_add_response_header(message, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	if (atomic_load(&server->draining))
		MHD_add_response_header(message, MHD_HTTP_HEADER_CONNECTION, "close");
	enum MHD_Result result = MHD_queue_response(mhd, status, message);
	MHD_destroy_response(message);
	return result;
}

static void response_init(struct http_response *response, size_t limit)
{
	*response = (struct http_response){.status = MHD_HTTP_OK, .content_type = "text/plain"};
	buffer_init(&response->body, limit);
}

void http_response_text(struct http_response *response, unsigned status, const char *text)
{
	response->status = status;
	buffer_append_text(&response->body, text);
}

static enum MHD_Result refuse(struct http_server *server, struct MHD_Connection *mhd,
                              unsigned status, const char *why)
{
	struct http_response response;
	response_init(&response, 256);
	http_response_text(&response, status, why);
	return queue(server, mhd, &response);
}

static enum MHD_Result refuse_size(struct exchange *exchange, struct MHD_Connection *mhd)
{
	char why[80];
	snprintf(why, sizeof why, "expected a body of at most %zu bytes\n",
	         exchange->server->options.body_max);
	return refuse(exchange->server, mhd, MHD_HTTP_CONTENT_TOO_LARGE, why);
}

static enum MHD_Result refuse_load(struct exchange *exchange, struct MHD_Connection *mhd)
{
	atomic_fetch_add(&exchange->server->overloaded, 1);
	return refuse(exchange->server, mhd, MHD_HTTP_SERVICE_UNAVAILABLE,
	              "too many requests at once, try again\n");
}

/* Takes a share of the memory for bodies; false when there is not so much left. Only for what has
 * come: else a few headers that announce large bodies would turn all others away. */
static bool reserve(struct exchange *exchange, size_t bytes)
{
	struct http_server *server = exchange->server;
	size_t before = atomic_fetch_add(&server->bodies, bytes);
	exchange->reserved += bytes;
	return before + bytes <= server->options.bodies_max;
}

static void drop_body(struct exchange *exchange)
{
	atomic_fetch_sub(&exchange->server->bodies, exchange->reserved);
	exchange->reserved = 0;
	buffer_free(&exchange->body);
}

static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *mhd,
                             void **request_context)
{
	struct exchange *exchange = calloc(1, sizeof *exchange);
	if (exchange == NULL)
		return MHD_NO;
	exchange->server = server;
	buffer_init(&exchange->body, server->options.body_max);
	*request_context = exchange;
	set_deadline(mhd, server->options.body_seconds);

	unsigned requests = atomic_fetch_add(&server->requests, 1) + 1;
	if (requests > server->options.requests_max)
		return refuse_load(exchange, mhd);
	const char *length =
	        MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	unsigned long long announced = length == NULL ? 0 : strtoull(length, NULL, 10);
	if (announced > server->options.body_max)
		return refuse_size(exchange, mhd);
	if (atomic_load(&server->bodies) + announced > server->options.bodies_max)
		return refuse_load(exchange, mhd);
	return MHD_YES;
}

/* Nothing can be answered while the body comes; what is too much is dropped and told at the end. */
static void take_body(struct exchange *exchange, const char *bytes, size_t length)
{
	if (exchange->too_large || exchange->overloaded)
		return;
	if (length > exchange->server->options.body_max - exchange->body.length)
		exchange->too_large = true;
	else if (!reserve(exchange, length))
		exchange->overloaded = true;
	else
		buffer_append(&exchange->body, bytes, length);
	if (!buffer_ok(&exchange->body))
		exchange->overloaded = true;
	if (exchange->too_large || exchange->overloaded)
		drop_body(exchange);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **request_context)
{
	(void)version;
	struct http_server *server = context;
	struct exchange *exchange = *request_context;
	if (exchange == NULL)
		return begin(server, mhd, request_context);
	if (*upload_data_size > 0) {
		take_body(exchange, upload_data, *upload_data_size);
		*upload_data_size = 0;
		return MHD_YES;
	}
	if (exchange->too_large)
		return refuse_size(exchange, mhd);
	if (exchange->overloaded)
		return refuse_load(exchange, mhd);

	struct http_request request = {
	        .method = method,
	        .path = url,
	        .content_type = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND,
	                                                    MHD_HTTP_HEADER_CONTENT_TYPE),
	        .body = buffer_text(&exchange->body),
	        .length = exchange->body.length,
	};
	struct http_response response;
	response_init(&response, server->options.response_max);
	server->options.handler(server->options.context, &request, &response);
	return queue(server, mhd, &response);
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **request_context,
                         enum MHD_RequestTerminationCode code)
{
	(void)code;
	struct http_server *server = context;
	struct exchange *exchange = *request_context;
	if (exchange == NULL)
		return;
	atomic_fetch_sub(&server->requests, 1);
	drop_body(exchange);
	free(exchange);
	*request_context = NULL;
	set_deadline(mhd, server->options.idle_seconds);
}

/* ---- Start and stop ---- */

/* HOST:PORT, :PORT, [V6]:PORT */
static bool split_address(const char *address, char *host, size_t host_size, const char **ret_port,
                          struct error *error)
{
	const char *colon = strrchr(address, ':');
	const char *start = address;
	size_t length = colon == NULL ? 0 : (size_t)(colon - address);
	if (length >= 2 && address[0] == '[' && address[length - 1] == ']') {
		start++;
		length -= 2;
	}
	if (colon == NULL || length >= host_size || colon[1] == '\0' ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    strtoul(colon + 1, NULL, 10) > UINT16_MAX)
		return error_set(error,
		                 "expected an address such as :8443 or 127.0.0.1:8443, got "
		                 "\"%.100s\"",
		                 address);
	memcpy(host, start, length);
	host[length] = '\0';
	*ret_port = colon + 1;
	return true;
}

static int bind_first(const struct addrinfo *list)
{
	int number = EADDRNOTAVAIL;
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
		int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
		                a->ai_protocol);
		if (fd < 0) {
			number = errno;
			continue;
		}
		int yes = 1;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
		if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
			return fd;
		number = errno;
		close(fd);
	}
	errno = number;
	return -1;
}

static bool listen_on(struct http_server *server, const char *address, struct error *error)
{
	char host[256] = "";
	const char *port = "";
	if (!split_address(address, host, sizeof host, &port, error))
		return false;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *list;
	int status = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &list);
	if (status != 0)
		return error_set(error, "listening on %s: %s", address, gai_strerror(status));
	server->listener = bind_first(list);
	int number = errno;
	freeaddrinfo(list);
	if (server->listener < 0)
		return error_set_errno(error, number, "listening on %s", address);

	struct sockaddr_storage bound = {0};
	socklen_t length = sizeof bound;
	char service[16];
	getsockname(server->listener, (struct sockaddr *)&bound, &length);
	getnameinfo((struct sockaddr *)&bound, length, host, sizeof host, service, sizeof service,
	            NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(server->address, sizeof server->address,
	         bound.ss_family == AF_INET6 ? "[%.50s]:%s" : "%.50s:%s", host, service);
	return true;
}

static bool start_daemon(struct http_server *server, struct error *error)
{
	const struct http_server_options *options = &server->options;
	struct MHD_OptionItem tls[] = {
	        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, tls_identity_callback()},
	        {MHD_OPTION_HTTPS_PRIORITIES, 0,
	         (void *)(intptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
	        {MHD_OPTION_END, 0, NULL},
	};
	struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
	/* Not epoll: with it MHD 0.9.75 spins from a ClientHello to the end of the handshake,
	 * however long the client takes (a new connection costs ten times as much CPU, a stalled
	 * one a whole processor). */
	unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC;
	if (options->tls)
		flags |= MHD_USE_TLS;
	server->daemon = MHD_start_daemon(
	        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET,
	        server->listener, MHD_OPTION_THREAD_POOL_SIZE, options->threads,
	        MHD_OPTION_CONNECTION_LIMIT, options->connections_max,
	        MHD_OPTION_CONNECTION_TIMEOUT, options->idle_seconds + INACTIVITY_MARGIN_SECONDS,
	        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION,
	        on_connection, server, MHD_OPTION_ARRAY, options->tls ? tls : none, MHD_OPTION_END);
	if (server->daemon == NULL)
		return error_set(error, "starting the server on %s failed", server->address);
	return true;
}

static void free_server(struct http_server *server)
{
	tls_identities_free(server->identities);
	if (server->listener >= 0)
		close(server->listener);
	pthread_cond_destroy(&server->stop);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

static void init_locks(struct http_server *server)
{
	pthread_condattr_t attributes;
	pthread_mutex_init(&server->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&server->stop, &attributes);
	pthread_condattr_destroy(&attributes);
}

bool http_server_start(const struct http_server_options *options, struct http_server **ret_server,
                       struct error *error)
{
	struct http_server *server = calloc(1, sizeof *server);
	if (server == NULL)
		return error_set(error, "no memory for a server");
	server->options = *options;
	server->listener = -1;
	init_locks(server);
	if (options->tls && (server->identities = tls_identities_new()) == NULL) {
		free_server(server);
		return error_set(error, "no memory for a server");
	}
	if (!listen_on(server, options->address, error)) {
		free_server(server);
		return false;
	}
	int status = pthread_create(&server->reaper, NULL, reap, server);
	if (status != 0) {
		free_server(server);
		return error_set_errno(error, status, "starting a thread");
	}
	if (!start_daemon(server, error)) {
		http_server_stop(server);
		return false;
	}
	*ret_server = server;
	return true;
}

const char *http_server_address(const struct http_server *server)
{
	return server->address;
}

void http_server_drain(struct http_server *server)
{
	atomic_store(&server->draining, true);
}

/* MHD gives the listener back; until it is closed the kernel goes on to queue connections. */
static void stop_accepting(struct http_server *server)
{
	if (server->listener < 0)
		return;
	MHD_quiesce_daemon(server->daemon);
	close(server->listener);
	server->listener = -1;
}

unsigned http_server_quiesce(struct http_server *server, unsigned seconds)
{
	http_server_drain(server);
	stop_accepting(server);
	int64_t end = clock_now() + seconds * SECOND;
	while (atomic_load(&server->requests) > 0 && clock_now() < end) {
		struct timespec moment = {.tv_nsec = 10L * 1000 * 1000};
		nanosleep(&moment, NULL);
	}
	return atomic_load(&server->requests);
}

void http_server_stop(struct http_server *server)
{
	if (server == NULL)
		return;
	if (server->daemon != NULL) {
		stop_accepting(server);
		MHD_stop_daemon(server->daemon);
	}
	pthread_mutex_lock(&server->lock);
	server->stopping = true;
	pthread_cond_signal(&server->stop);
	pthread_mutex_unlock(&server->lock);
	pthread_join(server->reaper, NULL);
	free_server(server);
}

void http_server_counts(struct http_server *server, struct http_server_counts *ret_counts)
{
	*ret_counts = (struct http_server_counts){
	        .connections = atomic_load(&server->connection_count),
	        .overloaded = atomic_load(&server->overloaded),
	        .timed_out = atomic_load(&server->timed_out),
	};
}
