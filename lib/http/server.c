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
#include "lib/base/stop_request.h"
#include "lib/http/connections.h"
#include "lib/http/tls_identity.h"

#define REAPER_INTERVAL_MS 500
/* A growing buffer may allocate up to this many times the bytes that are in it. */
#define BODY_GROWTH 2
/* Bytes for each connection: of the kernel's buffer in each direction, and for a request's header.
 */
#define SOCKET_MEMORY     (64 * 1024)
#define CONNECTION_MEMORY ((size_t)16 * 1024)
/* MHD's own inactivity timeout comes later than all deadlines of connections.h. */
#define INACTIVITY_MARGIN_SECONDS 30

struct http_server {
	struct http_server_options options;
	struct MHD_Daemon *daemon;
	struct tls_identities *identities; /* NULL: plain */
	int listener;                      /* -1 when no more connections are accepted */
	char address[80];
	_Atomic bool draining;
	struct connections *connections;
	_Atomic uint64_t overloaded;

	pthread_t reaper;
	struct stop_request stop; /* the reaper's */
};

/* A request being received. */
struct exchange {
	struct http_server *server;
	struct connection *connection;
	struct buffer body;
	size_t taken; /* of the server's memory, for the body, then for the response */
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

/* MHD's limit of connections is above ours, since it accepts none when it is reached: room for
 * those that are shut down and not closed yet. */
static unsigned mhd_connections(const struct http_server_options *options)
{
	return 2 * options->limits.connections + 64;
}

/* MHD says that a connection is closed before it closes the socket: what is shut down is always the
 * socket that is meant. */
static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
	struct http_server *server = context;
	if (code != MHD_CONNECTION_NOTIFY_STARTED) {
		connection_closed(*socket_context);
		*socket_context = NULL;
		return;
	}
	const union MHD_ConnectionInfo *fd =
	        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	const union MHD_ConnectionInfo *address =
	        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	if (fd != NULL)
		*socket_context =
		        connection_opened(server->connections, fd->connect_fd,
		                          address == NULL ? NULL : address->client_addr,
		                          clock_now(), server->options.header_seconds * SECOND);
}

static void *reap(void *argument)
{
	struct http_server *server = argument;
	do
		connections_shut_overdue(server->connections, clock_now());
	while (!stop_request_wait(&server->stop, REAPER_INTERVAL_MS * MILLISECOND));
	return NULL;
}

/* ---- Requests ---- */

static enum MHD_Result queue(struct http_server *server, struct MHD_Connection *mhd,
                             struct http_response *response)
{
	size_t length = response->body.length;
	unsigned status = response->status;
	char *body = buffer_steal(&response->body);
	char *exact = body == NULL ? NULL : realloc(body, length + 1);
	body = exact == NULL ? body : exact;
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

/* Takes of the memory for bodies and responses; false when there is not so much left. Only for what
 * has come: else a few headers that announce large bodies would turn all others away. */
static bool take(struct exchange *exchange, size_t bytes)
{
	exchange->taken += bytes;
	return connection_take(exchange->connection, bytes, clock_now());
}

static void drop_body(struct exchange *exchange)
{
	connection_give_back(exchange->connection, exchange->taken);
	exchange->taken = 0;
	buffer_free(&exchange->body);
}

static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *mhd,
                             void **request_context)
{
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct exchange *exchange = calloc(1, sizeof *exchange);
	if (exchange == NULL || info == NULL || info->socket_context == NULL) {
		free(exchange);
		return MHD_NO;
	}
	exchange->server = server;
	exchange->connection = info->socket_context;
	buffer_init(&exchange->body, server->options.body_max);
	*request_context = exchange;
	int64_t now = clock_now();
	connection_enter(exchange->connection, CONNECTION_RECEIVING, now,
	                 server->options.body_seconds * SECOND);
	if (!connection_begin_request(exchange->connection, now))
		return refuse_load(exchange, mhd);
	const char *length =
	        MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	unsigned long long announced = length == NULL ? 0 : strtoull(length, NULL, 10);
	if (announced > server->options.body_max)
		return refuse_size(exchange, mhd);
	if (!connection_may_take(exchange->connection, BODY_GROWTH * (size_t)announced))
		return refuse_load(exchange, mhd);
	return MHD_YES;
}

/* MHD takes no response while a body arrives: what is too much is dropped, and refused at the end.
 */
static void take_body(struct exchange *exchange, const char *bytes, size_t length)
{
	if (exchange->too_large || exchange->overloaded)
		return;
	if (length > exchange->server->options.body_max - exchange->body.length)
		exchange->too_large = true;
	else if (!take(exchange, BODY_GROWTH * length))
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

	connection_enter(exchange->connection, CONNECTION_RESPONDING, 0, 0);
	struct http_request request = {
	        .method = method,
	        .path = url,
	        .content_type = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND,
	                                                    MHD_HTTP_HEADER_CONTENT_TYPE),
	        .client = connection_client(exchange->connection),
	        .body = buffer_text(&exchange->body),
	        .length = exchange->body.length,
	};
	struct http_response response;
	response_init(&response, server->options.response_max);
	server->options.handler(server->options.context, &request, &response);
	drop_body(exchange);
	if (take(exchange, response.body.length))
		return queue(server, mhd, &response);
	buffer_free(&response.body);
	return refuse_load(exchange, mhd);
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **request_context,
                         enum MHD_RequestTerminationCode code)
{
	(void)mhd;
	(void)code;
	struct http_server *server = context;
	struct exchange *exchange = *request_context;
	if (exchange == NULL)
		return;
	connection_end_request(exchange->connection);
	drop_body(exchange);
	connection_enter(exchange->connection, CONNECTION_IDLE, clock_now(),
	                 server->options.idle_seconds * SECOND);
	free(exchange);
	*request_context = NULL;
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
		/* Accepted sockets inherit these; without them the kernel lets each grow to
		 * megabytes, which count in a container's memory (cgroup v2). */
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){SOCKET_MEMORY}, sizeof(int));
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){SOCKET_MEMORY}, sizeof(int));
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
	        MHD_OPTION_CONNECTION_LIMIT, mhd_connections(options),
	        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
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
	connections_free(server->connections);
	if (server->listener >= 0)
		close(server->listener);
	stop_request_free(&server->stop);
	free(server);
}

bool http_server_start(const struct http_server_options *options, struct http_server **ret_server,
                       struct error *error)
{
	struct http_server *server = calloc(1, sizeof *server);
	if (server == NULL)
		return error_set(error, "no memory for a server");
	server->options = *options;
	server->listener = -1;
	stop_request_init(&server->stop);
	server->connections = connections_new(&options->limits);
	if (options->tls)
		server->identities = tls_identities_new();
	if (server->connections == NULL || (options->tls && server->identities == NULL)) {
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

/* MHD gives the listener back; the kernel queues connections until the listener is closed. */
static void stop_accepting(struct http_server *server)
{
	if (server->listener < 0)
		return;
	MHD_quiesce_daemon(server->daemon);
	close(server->listener);
	server->listener = -1;
}

static unsigned requests_in_flight(const struct http_server *server)
{
	struct connections_counts counts;
	connections_count(server->connections, &counts);
	return (unsigned)counts.requests;
}

unsigned http_server_quiesce(struct http_server *server, unsigned seconds)
{
	http_server_drain(server);
	stop_accepting(server);
	int64_t end = clock_now() + seconds * SECOND;
	while (requests_in_flight(server) > 0 && clock_now() < end) {
		struct timespec moment = {.tv_nsec = 10L * 1000 * 1000};
		nanosleep(&moment, NULL);
	}
	return requests_in_flight(server);
}

void http_server_stop(struct http_server *server)
{
	if (server == NULL)
		return;
	if (server->daemon != NULL) {
		stop_accepting(server);
		MHD_stop_daemon(server->daemon);
	}
	stop_request_make(&server->stop);
	pthread_join(server->reaper, NULL);
	free_server(server);
}

void http_server_counts(struct http_server *server, struct http_server_counts *ret_counts)
{
	struct connections_counts counts;
	connections_count(server->connections, &counts);
	*ret_counts = (struct http_server_counts){
	        .connections = counts.open,
	        .requests = counts.requests,
	        .overloaded = atomic_load(&server->overloaded),
	        .timed_out = counts.timed_out,
	        .displaced = counts.displaced,
	};
}
