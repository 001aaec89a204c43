/* Who makes room for whom: connections of a hundred addresses, on a clock of the test's. Nothing is
 * sent; what is shut down reads as ended at its other side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/http/connections.h"

#define TIMEOUT (3 * SECOND)

/* A connection and its other side. */
struct peer {
	struct connection *connection; /* NULL: not taken */
	int fd;
	int other;
};

static struct connections *connections;
static int64_t now;

static void start(const struct connection_limits *limits)
{
	connections = connections_new(limits);
	assert_non_null(connections);
	now = SECOND;
}

static struct peer open_from(const struct sockaddr *address)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	struct peer peer = {.fd = fds[0], .other = fds[1]};
	peer.connection = connection_opened(connections, peer.fd, address, now++, TIMEOUT);
	return peer;
}

/* 10.0.0.NUMBER */
static struct peer dial(unsigned number)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr = {htonl(0x0A000000u + number)}};
	return open_from((const struct sockaddr *)&address);
}

static void use(const struct peer *peer, enum connection_state state)
{
	connection_enter(peer->connection, state, now++, TIMEOUT);
}

static bool is_shut(const struct peer *peer)
{
	char byte;
	return peer->connection == NULL || recv(peer->other, &byte, 1, 0) == 0;
}

static void end(struct peer *peer)
{
	connection_closed(peer->connection);
	close(peer->fd);
	close(peer->other);
}

static void end_all(struct peer *peers, size_t count)
{
	struct connections_counts counts;
	for (size_t i = 0; i < count; i++)
		end(&peers[i]);
	connections_count(connections, &counts);
	assert_int_equal(counts.open, 0);
	assert_int_equal(counts.requests, 0);
	connections_free(connections);
}

static void test_the_oldest_silent_one_of_the_largest_makes_room(void **state)
{
	(void)state;
	start(&(struct connection_limits){.connections = 4});
	struct peer peers[] = {dial(1), dial(2), dial(2), dial(3)};
	struct peer fresh = dial(4);
	assert_true(is_shut(&peers[1]));
	assert_false(is_shut(&peers[0]) || is_shut(&peers[2]) || is_shut(&peers[3]) ||
	             is_shut(&fresh));
	/* All have one now: the oldest of all. */
	struct peer last = dial(5);
	assert_true(is_shut(&peers[0]));
	assert_false(is_shut(&peers[2]) || is_shut(&fresh) || is_shut(&last));
	struct peer all[] = {peers[0], peers[1], peers[2], peers[3], fresh, last};
	end_all(all, 6);
}

static void test_silent_ones_go_before_idle_ones(void **state)
{
	(void)state;
	start(&(struct connection_limits){.connections = 4});
	struct peer peers[] = {dial(1), dial(1), dial(1), dial(2), {0}, {0}, {0}};
	for (size_t i = 0; i < 3; i++)
		use(&peers[i], CONNECTION_IDLE);
	peers[4] = dial(3);
	assert_true(is_shut(&peers[3]));
	assert_false(is_shut(&peers[0]) || is_shut(&peers[4]));
	use(&peers[4], CONNECTION_RESPONDING);
	peers[5] = dial(4); /* none is silent: the oldest idle one of the largest */
	assert_true(is_shut(&peers[0]));
	assert_false(is_shut(&peers[1]) || is_shut(&peers[4]) || is_shut(&peers[5]));
	for (size_t i = 1; i < 6; i++)
		if (i != 3)
			use(&peers[i], CONNECTION_RECEIVING);
	peers[6] = dial(5); /* all are at work */
	assert_null(peers[6].connection);
	assert_false(is_shut(&peers[1]) || is_shut(&peers[2]) || is_shut(&peers[5]));
	end_all(peers, 7);
}

static void test_an_address_has_its_share(void **state)
{
	(void)state;
	start(&(struct connection_limits){.connections = 100, .connections_each = 2});
	struct peer peers[] = {dial(1), dial(1), dial(1), dial(2), {0}};
	assert_true(is_shut(&peers[0]));
	assert_false(is_shut(&peers[1]) || is_shut(&peers[2]) || is_shut(&peers[3]));
	use(&peers[1], CONNECTION_RECEIVING);
	use(&peers[2], CONNECTION_RESPONDING);
	peers[4] = dial(1);
	assert_null(peers[4].connection);
	end_all(peers, 5);
}

/* 5,000 silent ones of 200 addresses, each opened anew when it is shut: one of another address is
 * never touched, and there are never more than there may be. */
static void test_a_flood_leaves_a_single_one_alone(void **state)
{
	(void)state;
	enum { MOST = 512, FLOOD = 5000, ADDRESSES = 200 };
	static struct peer flood[FLOOD];
	start(&(struct connection_limits){.connections = MOST, .connections_each = 64});
	struct peer honest = {0};
	for (unsigned i = 0; i < FLOOD; i++) {
		flood[i] = dial(1000 + i % ADDRESSES);
		assert_non_null(flood[i].connection);
		if (i == MOST / 2)
			honest = dial(1);
		struct connections_counts counts;
		connections_count(connections, &counts);
		assert_true(counts.open <= MOST);
		if (i >= MOST)
			end(&flood[i - MOST]); /* its owner has noticed at last */
	}
	assert_false(is_shut(&honest));
	for (unsigned i = FLOOD - MOST; i < FLOOD; i++)
		end(&flood[i]);
	end_all(&honest, 1);
}

static void test_requests_have_shares_and_slow_ones_make_room(void **state)
{
	(void)state;
	start(&(struct connection_limits){.connections = 100, .requests = 32, .requests_each = 16});
	struct peer peers[40];
	unsigned taken = 0;
	for (unsigned i = 0; i < 40; i++) {
		peers[i] = dial(1 + i / 20);
		use(&peers[i], CONNECTION_RECEIVING);
		taken += connection_begin_request(peers[i].connection, now++);
	}
	assert_int_equal(taken, 20); /* 16, and 4 until three quarters are used */
	struct peer small = dial(9);
	use(&small, CONNECTION_RECEIVING);
	assert_false(
	        connection_begin_request(small.connection, now)); /* 41 hold one, until they end */
	for (unsigned i = 0; i < 40; i++)
		assert_false(is_shut(&peers[i])); /* none is slow */
	connection_end_request(small.connection);
	assert_false(connection_begin_request(small.connection, now + SECOND));
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(is_shut(&peers[i]), i == 0); /* the slowest */
	for (unsigned i = 0; i < 40; i++)
		connection_end_request(peers[i].connection);
	connection_end_request(small.connection);
	end(&small);
	end_all(peers, 40);
}

static void test_memory_has_shares(void **state)
{
	(void)state;
	start(&(struct connection_limits){.connections = 9, .bytes = 1600, .bytes_each = 800});
	struct peer peers[] = {dial(1), dial(2), dial(3)};
	assert_true(connection_take(peers[0].connection, 800, now));
	assert_false(connection_may_take(peers[0].connection, 1));
	assert_true(connection_take(peers[1].connection, 400, now));
	/* The last quarter is for those that hold little. */
	assert_false(connection_may_take(peers[1].connection, 1));
	assert_true(connection_may_take(peers[2].connection, 100));
	assert_false(connection_may_take(peers[2].connection, 101));
	assert_true(connection_take(peers[2].connection, 100, now));
	assert_false(connection_take(peers[2].connection, 700, now)); /* counted all the same */
	connection_give_back(peers[2].connection, 700);
	connection_give_back(peers[0].connection, 800);
	assert_true(connection_may_take(peers[1].connection, 400));
	end_all(peers, 3);
}

static void test_deadlines(void **state)
{
	(void)state;
	start(&(struct connection_limits){.connections = 9});
	struct peer peers[] = {dial(1), dial(1), dial(2)};
	connections_shut_overdue(connections, now + TIMEOUT / 2);
	use(&peers[1], CONNECTION_RECEIVING);
	now += TIMEOUT / 2;
	use(&peers[2], CONNECTION_IDLE);
	use(&peers[1], CONNECTION_RESPONDING); /* has the time that its request began with */
	now += TIMEOUT / 2 - 5;
	connections_shut_overdue(connections, now);
	assert_true(is_shut(&peers[0]));
	assert_false(is_shut(&peers[1]) || is_shut(&peers[2]));
	connections_shut_overdue(connections, now + 9);
	assert_true(is_shut(&peers[1]));
	assert_false(is_shut(&peers[2]));
	struct connections_counts counts;
	connections_count(connections, &counts);
	assert_int_equal(counts.timed_out, 2);
	assert_int_equal(counts.open, 1);
	end_all(peers, 3);
}

/* A host has a whole /64 of IPv6; an IPv4 address is itself, mapped or not. */
static void test_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned owner;
	} cases[] = {{"2001:db8:0:1::1", 1},
	             {"2001:db8:0:1:ffff::2", 1},
	             {"2001:db8:0:2::1", 2},
	             {"::ffff:10.0.0.1", 3},
	             {"::ffff:10.0.0.2", 4}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		for (size_t j = 0; j < sizeof cases / sizeof cases[0]; j++) {
			start(&(struct connection_limits){.connections = 9, .connections_each = 1});
			struct peer peers[2];
			size_t which[] = {i, j};
			for (size_t k = 0; k < 2; k++) {
				struct sockaddr_in6 address = {.sin6_family = AF_INET6};
				inet_pton(AF_INET6, cases[which[k]].text, &address.sin6_addr);
				peers[k] = open_from((const struct sockaddr *)&address);
				assert_string_equal(connection_client(peers[k].connection),
				                    cases[which[k]].text);
			}
			assert_int_equal(is_shut(&peers[0]), cases[i].owner == cases[j].owner);
			end_all(peers, 2);
		}
	start(&(struct connection_limits){.connections = 9, .connections_each = 1});
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6};
	inet_pton(AF_INET6, "::ffff:10.0.0.7", &mapped.sin6_addr);
	struct peer peers[] = {dial(7), open_from((const struct sockaddr *)&mapped)};
	assert_true(is_shut(&peers[0]));
	end_all(peers, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_the_oldest_silent_one_of_the_largest_makes_room),
	        cmocka_unit_test(test_silent_ones_go_before_idle_ones),
	        cmocka_unit_test(test_an_address_has_its_share),
	        cmocka_unit_test(test_a_flood_leaves_a_single_one_alone),
	        cmocka_unit_test(test_requests_have_shares_and_slow_ones_make_room),
	        cmocka_unit_test(test_memory_has_shares),
	        cmocka_unit_test(test_deadlines),
	        cmocka_unit_test(test_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
