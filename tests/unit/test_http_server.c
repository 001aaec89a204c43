/* The bounds of lib/http/server, with small numbers and over plain TCP: each is reached, and what
 * lies below it is not touched. Deadlines are waited for as the end of a connection, never timed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <errno.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/http/server.h"

#define TIMEOUT_SECONDS 60 /* a bound on hanging */
#define REQUEST         "POST /x?y HTTP/1.1\r\nHost: h\r\nContent-Length: "

static void echo(void *context, const struct http_request *request, struct http_response *response)
{
	(void)context;
	if (strcmp(request->method, "GET") == 0) { /* more than a response may have */
		for (int i = 0; i < 100; i++)
			buffer_append_text(&response->body, "0123456789");
		return;
	}
	buffer_printf(&response->body, "%s %s %.*s", request->method, request->path,
	              (int)request->length, request->body);
}

static struct http_server *start(const struct http_server_options *wanted)
{
	struct http_server_options options = {
	        .address = "127.0.0.1:0",
	        .threads = 2,
	        .body_max = 100,
	        .response_max = 200,
	        .limits = {.connections = 100, .requests = 100, .bytes = 2000},
	        .header_seconds = TIMEOUT_SECONDS,
	        .body_seconds = TIMEOUT_SECONDS,
	        .idle_seconds = TIMEOUT_SECONDS,
	        .handler = echo,
	};
	if (wanted->limits.bytes > 0)
		options.limits.bytes = wanted->limits.bytes;
	if (wanted->limits.requests > 0)
		options.limits.requests = wanted->limits.requests;
	if (wanted->limits.connections > 0)
		options.limits.connections = wanted->limits.connections;
	options.limits.connections_each = wanted->limits.connections_each;
	if (wanted->header_seconds > 0)
		options.header_seconds = wanted->header_seconds;
	if (wanted->body_seconds > 0)
		options.body_seconds = wanted->body_seconds;
	if (wanted->idle_seconds > 0)
		options.idle_seconds = wanted->idle_seconds;
	struct http_server *server = NULL;
	struct error error = {""};
	if (!http_server_start(&options, &server, &error))
		fail_msg("%s", error.message);
	return server;
}

static int dial(const struct http_server *server)
{
	const char *port = strrchr(http_server_address(server), ':') + 1;
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
	                              .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
	return fd;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* One response, whole; "" when the connection ends before it. */
static const char *receive(int fd)
{
	static char text[4096];
	size_t length = 0;
	for (;;) {
		text[length] = '\0';
		const char *body = strstr(text, "\r\n\r\n");
		const char *announced = strstr(text, "Content-Length: ");
		if (body != NULL && announced != NULL &&
		    strlen(body + 4) >= strtoul(announced + 16, NULL, 10))
			return text;
		ssize_t got = recv(fd, text + length, sizeof text - 1 - length, 0);
		if (got <= 0)
			return "";
		length += (size_t)got;
	}
}

static void assert_response(int fd, const char *status, const char *has)
{
	const char *response = receive(fd);
	if (strncmp(response, status, strlen(status)) != 0 || strstr(response, has) == NULL)
		fail_msg("expected %s … %s, got %s", status, has, response);
}

/* The server ends the connection, and not we our patience. */
static void assert_ended(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, 0);
	assert_true(got == 0 || (got < 0 && errno == ECONNRESET));
	close(fd);
}

static uint64_t timed_out(struct http_server *server)
{
	struct http_server_counts counts;
	http_server_counts(server, &counts);
	return counts.timed_out;
}

static void test_a_response(void **state)
{
	(void)state;
	struct http_server *server = start(&(struct http_server_options){0});
	int fd = dial(server);
	send_text(fd, REQUEST "2\r\n\r\nab");
	assert_response(fd, "HTTP/1.1 200", "POST /x ab");
	send_text(fd, "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	              "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
	assert_response(fd, "HTTP/1.1 200", "POST /c abcd");
	send_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_response(fd, "HTTP/1.1 500", "Content-Length: 0"); /* too much for a response */
	close(fd);
	http_server_stop(server);
}

static void test_bodies_are_bounded(void **state)
{
	(void)state;
	struct http_server *server = start(&(struct http_server_options){.limits = {.bytes = 300}});
	int fd = dial(server);
	send_text(fd, REQUEST "101\r\n\r\n");
	assert_response(fd, "HTTP/1.1 413", "at most 100 bytes");
	close(fd);

	char chunk[200];
	snprintf(chunk, sizeof chunk, "3c\r\n%060d\r\n", 0);
	int chunked = dial(server);
	send_text(chunked, "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
	send_text(chunked, chunk);
	send_text(chunked, chunk);
	send_text(chunked, "0\r\n\r\n");
	assert_response(chunked, "HTTP/1.1 413", "at most 100 bytes");
	close(chunked);

	/* Two bodies of 90 bytes: the second finds no room; when the first has gone it does. */
	char body[200];
	snprintf(body, sizeof body, REQUEST "90\r\n\r\n%089d", 0);
	int first = dial(server);
	send_text(first, body);
	const char *status = "";
	for (int tries = 0; strncmp(status, "HTTP/1.1 503", 12) != 0;
	     tries++) { /* the first has not come yet */
		int second = dial(server);
		send_text(second, body);
		send_text(second, "x");
		status = receive(second);
		assert_true(tries < 1000);
		assert_true(strstr(status, "200 OK") != NULL ||
		            strstr(status, "Retry-After: 1") != NULL);
		close(second);
	}
	send_text(first, "x");
	assert_response(first, "HTTP/1.1 200", "POST /x 0");
	send_text(first, body);
	send_text(first, "x");
	assert_response(first, "HTTP/1.1 200", "POST /x 0");
	close(first);
	http_server_stop(server);
}

static void wait_for_requests(struct http_server *server, uint64_t wanted)
{
	struct http_server_counts counts;
	do
		http_server_counts(server, &counts);
	while (counts.requests != wanted);
}

static void test_requests_are_bounded(void **state)
{
	(void)state;
	struct http_server *server =
	        start(&(struct http_server_options){.limits = {.requests = 2}});
	int held[2];
	for (size_t i = 0; i < 2; i++) {
		held[i] = dial(server);
		send_text(held[i], REQUEST "2\r\n\r\na");
	}
	wait_for_requests(server, 2);
	int third = dial(server);
	send_text(third, REQUEST "1\r\n\r\na");
	assert_non_null(strstr(receive(third), "Retry-After: 1"));
	close(third);
	wait_for_requests(server, 2);
	assert_int_equal(http_server_quiesce(server, 0), 2);
	for (size_t i = 0; i < 2; i++) {
		send_text(held[i], "b");
		assert_response(held[i], "HTTP/1.1 200", "POST /x ab");
	}
	for (size_t i = 0; i < 2; i++)
		assert_ended(held[i]); /* draining: the response was the last */
	assert_int_equal(http_server_quiesce(server, TIMEOUT_SECONDS), 0);
	struct http_server_counts counts;
	http_server_counts(server, &counts);
	assert_true(counts.overloaded >= 1);
	http_server_stop(server);
}

/* A connection with a response behind it: on a slow machine the first may be past a deadline. */
static int dial_and_request(const struct http_server *server)
{
	for (;;) {
		int fd = dial(server);
		send_text(fd, REQUEST "2\r\n\r\nab");
		if (strstr(receive(fd), "200 OK") != NULL)
			return fd;
		close(fd);
	}
}

/* A connection whose header is taken: the server says so. */
static int dial_and_begin(const struct http_server *server)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	for (;;) {
		char text[sizeof go_on] = "";
		int fd = dial(server);
		send_text(fd, "POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
		              "Content-Length: 2\r\n\r\n");
		if (recv(fd, text, sizeof go_on - 1, MSG_WAITALL) == (ssize_t)sizeof go_on - 1 &&
		    strcmp(text, go_on) == 0)
			return fd;
		close(fd);
	}
}

static void test_a_header_has_a_deadline(void **state)
{
	(void)state;
	struct http_server *server = start(&(struct http_server_options){.header_seconds = 2});
	int idle = dial_and_request(server);
	int body = dial_and_begin(server);
	int nothing = dial(server);
	int half = dial(server);
	send_text(half, "POST / HTTP/1.1\r\nHost: h\r\nX: ");
	assert_ended(nothing);
	assert_ended(half);
	assert_true(timed_out(server) >= 2);
	/* Longer than that: a body, and the time between two requests. */
	send_text(body, "ab");
	assert_response(body, "HTTP/1.1 200", "ab");
	send_text(idle, REQUEST "2\r\n\r\ncd");
	assert_response(idle, "HTTP/1.1 200", "cd");
	close(idle);
	close(body);
	http_server_stop(server);
}

static void test_a_body_has_a_deadline(void **state)
{
	(void)state;
	struct http_server *server = start(&(struct http_server_options){.body_seconds = 2});
	int nothing = dial(server);
	int body = dial_and_begin(server);
	send_text(body, "a");
	assert_ended(body);
	assert_true(timed_out(server) >= 1);
	send_text(nothing, REQUEST "2\r\n\r\nab"); /* its header had more time */
	assert_response(nothing, "HTTP/1.1 200", "ab");
	close(nothing);
	http_server_stop(server);
}

static void test_idle_connections_end(void **state)
{
	(void)state;
	struct http_server *server = start(&(struct http_server_options){.idle_seconds = 1});
	int nothing = dial(server);
	int idle = dial_and_request(server);
	ssize_t sent = send(idle, "POST", 4, MSG_NOSIGNAL); /* a beginning is no request yet */
	(void)sent;
	assert_ended(idle);
	assert_true(timed_out(server) >= 1);
	send_text(nothing, REQUEST "2\r\n\r\nab");
	assert_response(nothing, "HTTP/1.1 200", "ab");
	close(nothing);
	http_server_stop(server);
}

static void test_draining_closes_after_the_response(void **state)
{
	(void)state;
	struct http_server *server = start(&(struct http_server_options){0});
	int fd = dial(server);
	http_server_drain(server);
	send_text(fd, REQUEST "2\r\n\r\nab");
	assert_response(fd, "HTTP/1.1 200", "Connection: close");
	assert_ended(fd);
	http_server_stop(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_a_response),
	        cmocka_unit_test(test_bodies_are_bounded),
	        cmocka_unit_test(test_requests_are_bounded),
	        cmocka_unit_test(test_a_header_has_a_deadline),
	        cmocka_unit_test(test_a_body_has_a_deadline),
	        cmocka_unit_test(test_idle_connections_end),
	        cmocka_unit_test(test_draining_closes_after_the_response),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
