#include "lib/http/connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/clock.h"

#define BUCKETS 256
/* A request that takes longer makes room for others. */
#define SLOW_REQUEST SECOND
/* An address that holds no more than a sixteenth of a limit may use its last quarter. */
#define RESERVE_SHARE 4
#define SMALL_SHARE   16

/* The connections from one address. */
struct client {
	struct client *next; /* in its bucket */
	unsigned char address[16];
	struct connection *oldest;
	struct connection *newest;
	unsigned states[CONNECTION_STATES]; /* connections */
	unsigned requests;
	size_t bytes;
};

struct connection {
	struct connections *owner;
	struct client *client;
	struct connection *older;
	struct connection *newer;
	int fd;
	enum connection_state state;
	int64_t since; /* silent or idle, or when its request began */
	int64_t deadline;
	size_t bytes;
	char text[INET6_ADDRSTRLEN];
};

struct connections {
	struct connection_limits limits;
	pthread_mutex_t lock; /* of all that follows, and of every client and connection */
	struct client *buckets[BUCKETS];
	unsigned open;
	unsigned requests;
	size_t bytes;
	uint64_t timed_out;
	uint64_t displaced;
};

static unsigned least(unsigned limit, unsigned of_all)
{
	return limit == 0 || limit > of_all ? of_all : limit;
}

struct connections *connections_new(const struct connection_limits *limits)
{
	struct connections *connections = calloc(1, sizeof *connections);
	if (connections == NULL)
		return NULL;
	connections->limits = *limits;
	struct connection_limits *own = &connections->limits;
	own->connections_each = least(limits->connections_each, limits->connections);
	own->requests_each = least(limits->requests_each, limits->requests);
	if (limits->bytes_each == 0 || limits->bytes_each > limits->bytes)
		own->bytes_each = limits->bytes;
	pthread_mutex_init(&connections->lock, NULL);
	return connections;
}

void connections_free(struct connections *connections)
{
	if (connections == NULL)
		return;
	pthread_mutex_destroy(&connections->lock);
	free(connections);
}

/* ---- Clients ---- */

/* IPv4 as an IPv4-mapped address; of IPv6 the network, since a host has all of its /64. */
static void read_address(const struct sockaddr *address, unsigned char ret_address[16],
                         char ret_text[INET6_ADDRSTRLEN])
{
	static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF};
	memset(ret_address, 0, 16);
	memcpy(ret_text, "unknown", sizeof "unknown");
	if (address == NULL)
		return;
	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, address, sizeof in);
		memcpy(ret_address, mapped, sizeof mapped);
		memcpy(ret_address + sizeof mapped, &in.sin_addr, 4);
		inet_ntop(AF_INET, &in.sin_addr, ret_text, INET6_ADDRSTRLEN);
	} else if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in;
		memcpy(&in, address, sizeof in);
		bool is_mapped = memcmp(&in.sin6_addr, mapped, sizeof mapped) == 0;
		memcpy(ret_address, &in.sin6_addr, is_mapped ? 16 : 8);
		inet_ntop(AF_INET6, &in.sin6_addr, ret_text, INET6_ADDRSTRLEN);
	}
}

static struct client **find_client(struct connections *connections, const unsigned char *address)
{
	struct client **link = &connections->buckets[hash_place(hash_bytes(address, 16), BUCKETS)];
	while (*link != NULL && memcmp((*link)->address, address, 16) != 0)
		link = &(*link)->next;
	return link;
}

static unsigned open_connections(const struct client *client)
{
	return client->states[CONNECTION_SILENT] + client->states[CONNECTION_RECEIVING] +
	       client->states[CONNECTION_RESPONDING] + client->states[CONNECTION_IDLE];
}

/* ---- Shutting down ---- */

static void set_state(struct connection *connection, enum connection_state state)
{
	connection->client->states[connection->state]--;
	connection->client->states[state]++;
	connection->state = state;
}

static void shut(struct connection *connection)
{
	set_state(connection, CONNECTION_CLOSING);
	connection->owner->open--;
	shutdown(connection->fd, SHUT_RDWR);
}

static struct connection *oldest_in(const struct client *client, enum connection_state state)
{
	struct connection *connection = client->oldest;
	while (connection != NULL && connection->state != state)
		connection = connection->newer;
	return connection;
}

static bool displace(struct connection *connection)
{
	if (connection == NULL)
		return false;
	connection->owner->displaced++;
	shut(connection);
	return true;
}

/* Of those in that state the oldest of the client that has the most; where several have as many,
 * the oldest of theirs. */
static struct connection *find_victim(struct connections *connections, enum connection_state state)
{
	struct connection *victim = NULL;
	unsigned most = 1;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct client *c = connections->buckets[i]; c != NULL; c = c->next) {
			if (c->states[state] < most)
				continue;
			struct connection *oldest = oldest_in(c, state);
			if (victim == NULL || c->states[state] > most ||
			    oldest->since < victim->since)
				victim = oldest;
			most = c->states[state];
		}
	return victim;
}

/* Room for one more connection of that client. */
static bool make_room(struct connections *connections, const struct client *client)
{
	if (open_connections(client) >= connections->limits.connections_each &&
	    !displace(oldest_in(client, CONNECTION_SILENT)) &&
	    !displace(oldest_in(client, CONNECTION_IDLE)))
		return false;
	return connections->open < connections->limits.connections ||
	       displace(find_victim(connections, CONNECTION_SILENT)) ||
	       displace(find_victim(connections, CONNECTION_IDLE));
}

/* ---- Connections ---- */

static void append_connection(struct client *client, struct connection *connection)
{
	connection->client = client;
	connection->older = client->newest;
	if (client->newest != NULL)
		client->newest->newer = connection;
	else
		client->oldest = connection;
	client->newest = connection;
	client->states[connection->state]++;
}

static void remove_connection(struct connection *connection)
{
	struct client *client = connection->client;
	if (connection->older != NULL)
		connection->older->newer = connection->newer;
	else
		client->oldest = connection->newer;
	if (connection->newer != NULL)
		connection->newer->older = connection->older;
	else
		client->newest = connection->older;
	client->states[connection->state]--;
}

static void drop_client_without_connections(struct client **link)
{
	struct client *client = *link;
	if (client == NULL || client->oldest != NULL)
		return;
	*link = client->next;
	free(client);
}

/* Adds a connection to its client, which is made when it is new; false: no room or no memory. */
static bool admit(struct connections *connections, const unsigned char *address,
                  struct connection *connection)
{
	struct client **link = find_client(connections, address);
	if (*link == NULL) {
		*link = calloc(1, sizeof **link);
		if (*link == NULL)
			return false;
		memcpy((*link)->address, address, 16);
	}
	if (!make_room(connections, *link)) {
		connections->displaced++;
		drop_client_without_connections(link);
		return false;
	}
	append_connection(*link, connection);
	connections->open++;
	return true;
}

struct connection *connection_opened(struct connections *connections, int fd,
                                     const struct sockaddr *address, int64_t now, int64_t timeout)
{
	unsigned char key[16];
	struct connection *connection = calloc(1, sizeof *connection);
	if (connection != NULL) {
		*connection = (struct connection){.owner = connections,
		                                  .fd = fd,
		                                  .state = CONNECTION_SILENT,
		                                  .since = now,
		                                  .deadline = now + timeout};
		read_address(address, key, connection->text);
		pthread_mutex_lock(&connections->lock);
		bool admitted = admit(connections, key, connection);
		pthread_mutex_unlock(&connections->lock);
		if (admitted)
			return connection;
	}
	free(connection);
	shutdown(fd, SHUT_RDWR);
	return NULL;
}

void connection_closed(struct connection *connection)
{
	if (connection == NULL)
		return;
	struct connections *connections = connection->owner;
	struct client *client = connection->client;
	pthread_mutex_lock(&connections->lock);
	connections->open -= connection->state != CONNECTION_CLOSING;
	connections->bytes -= connection->bytes;
	client->bytes -= connection->bytes;
	remove_connection(connection);
	drop_client_without_connections(find_client(connections, client->address));
	pthread_mutex_unlock(&connections->lock);
	free(connection);
}

void connection_enter(struct connection *connection, enum connection_state state, int64_t now,
                      int64_t timeout)
{
	pthread_mutex_lock(&connection->owner->lock);
	if (state != CONNECTION_RESPONDING) { /* the request has the time that it began with */
		connection->since = now;
		connection->deadline = now + timeout;
	}
	if (connection->state != CONNECTION_CLOSING)
		set_state(connection, state);
	pthread_mutex_unlock(&connection->owner->lock);
}

const char *connection_client(const struct connection *connection)
{
	return connection->text;
}

unsigned connection_client_place(const char *client, unsigned places)
{
	return (unsigned)hash_place(hash_text(client), places);
}

/* ---- Requests and memory ---- */

/* used and own include what is asked for. The last quarter is for addresses that hold little. */
static bool fits(size_t used, size_t limit, size_t own, size_t each)
{
	bool small = own <= limit / SMALL_SHARE;
	return own <= each && used <= (small ? limit : limit - limit / RESERVE_SHARE);
}

/* Shuts down the slowest request, whichever client it is from: requests of honest clients are
 * quick. */
static void displace_slowest_request(struct connections *connections, int64_t now)
{
	struct connection *slowest = NULL;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct client *client = connections->buckets[i]; client != NULL;
		     client = client->next)
			for (struct connection *c = client->oldest; c != NULL; c = c->newer)
				if ((c->state == CONNECTION_RECEIVING ||
				     c->state == CONNECTION_RESPONDING) &&
				    (slowest == NULL || c->since < slowest->since))
					slowest = c;
	if (slowest == NULL || now - slowest->since < SLOW_REQUEST)
		return;
	displace(slowest);
}

bool connection_begin_request(struct connection *connection, int64_t now)
{
	struct connections *connections = connection->owner;
	struct client *client = connection->client;
	const struct connection_limits *limits = &connections->limits;
	pthread_mutex_lock(&connections->lock);
	bool room = fits(++connections->requests, limits->requests, ++client->requests,
	                 limits->requests_each);
	if (!room)
		displace_slowest_request(connections, now);
	pthread_mutex_unlock(&connections->lock);
	return room;
}

void connection_end_request(struct connection *connection)
{
	pthread_mutex_lock(&connection->owner->lock);
	connection->owner->requests--;
	connection->client->requests--;
	pthread_mutex_unlock(&connection->owner->lock);
}

bool connection_take(struct connection *connection, size_t bytes, int64_t now)
{
	struct connections *connections = connection->owner;
	struct client *client = connection->client;
	const struct connection_limits *limits = &connections->limits;
	pthread_mutex_lock(&connections->lock);
	connection->bytes += bytes;
	client->bytes += bytes;
	connections->bytes += bytes;
	bool room = fits(connections->bytes, limits->bytes, client->bytes, limits->bytes_each);
	if (!room)
		displace_slowest_request(connections, now);
	pthread_mutex_unlock(&connections->lock);
	return room;
}

bool connection_may_take(struct connection *connection, size_t bytes)
{
	struct connections *connections = connection->owner;
	pthread_mutex_lock(&connections->lock);
	bool room = fits(connections->bytes + bytes, connections->limits.bytes,
	                 connection->client->bytes + bytes, connections->limits.bytes_each);
	pthread_mutex_unlock(&connections->lock);
	return room;
}

void connection_give_back(struct connection *connection, size_t bytes)
{
	pthread_mutex_lock(&connection->owner->lock);
	connection->bytes -= bytes;
	connection->client->bytes -= bytes;
	connection->owner->bytes -= bytes;
	pthread_mutex_unlock(&connection->owner->lock);
}

/* ---- Deadlines ---- */

static void shut_overdue_of(struct client *client, int64_t now)
{
	for (struct connection *c = client->oldest; c != NULL; c = c->newer)
		if (c->state != CONNECTION_CLOSING && c->deadline <= now) {
			c->owner->timed_out++;
			shut(c);
		}
}

void connections_shut_overdue(struct connections *connections, int64_t now)
{
	pthread_mutex_lock(&connections->lock);
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct client *c = connections->buckets[i]; c != NULL; c = c->next)
			shut_overdue_of(c, now);
	pthread_mutex_unlock(&connections->lock);
}

void connections_count(struct connections *connections, struct connections_counts *ret_counts)
{
	pthread_mutex_lock(&connections->lock);
	*ret_counts = (struct connections_counts){.open = connections->open,
	                                          .requests = connections->requests,
	                                          .timed_out = connections->timed_out,
	                                          .displaced = connections->displaced};
	pthread_mutex_unlock(&connections->lock);
}
