/*
 * Any messages in any order from any number of connections, through the watchdog's own functions:
 * at most one shim for a name, whole lines, one end for each greeting, nothing left open.
 *
 * Input: steps, each a byte that says what (connect, send a made message, send raw bytes, close,
 * spoil the ring) and a byte that says who; then what that takes.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "watchdog/watch_socket.h"

#define PEERS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t next_byte(struct input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->data++;
}

static const uint8_t *next_bytes(struct input *input, size_t wanted, size_t *ret_length)
{
	const uint8_t *bytes = input->data;
	*ret_length = wanted < input->left ? wanted : input->left;
	input->data += *ret_length;
	input->left -= *ret_length;
	return bytes;
}

static struct watch watched;
static int peers[PEERS]; /* the other ends; -1: none */

static void begin(void)
{
	static const char *const names[] = {"main", "second"};
	static char output[TAIL_MAX];
	static char queue[QUEUE_SHARED + 2 * REPORT_LINE_MAX];
	memset(&watched.agents, 0, sizeof watched.agents);
	watched.lifecycle = (struct sidecar_lifecycle){.terminated_at = -1};
	watched.ring_size = RING_SIZE_MIN;
	watched.pod.tail_size = 256;
	watch_socket_init(&watched);
	watched.signals = -1;
	watched.output = output;
	watched.output_size = sizeof output;
	watched.queue.bytes = queue;
	watched.queue.capacity = sizeof queue;
	watched.queue.fd = -1; /* lines stay in it */
	for (size_t i = 0; i < 2; i++)
		require(watch_add_agent(&watched, names[i], RESTART_NEVER, NULL));
	for (size_t i = 0; i < PEERS; i++)
		peers[i] = -1;
}

static void connect_peer(size_t who)
{
	int ends[2];
	if (peers[who] >= 0)
		return;
	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	peers[who] = ends[0];
	watch_add_pending(&watched, ends[1], NEVER);
}

static void send_made(size_t who, struct input *input)
{
	static const char *const names[] = {"main", "second", "stranger", ""};
	struct message message = message_make((enum message_type)(next_byte(input) % 13));
	size_t length;
	const char *name = names[next_byte(input) % 4];
	memcpy(message.name, name, strlen(name));
	const uint8_t *fields = next_bytes(input, next_byte(input), &length);
	size_t from = offsetof(struct message, pid);
	memcpy((char *)&message + from, fields,
	       length < sizeof message - from ? length : sizeof message - from);
	const uint8_t *tail = next_bytes(input, next_byte(input), &length);
	message_send(peers[who], &message, tail, length, next_byte(input) & 1 ? peers[who] : -1);
}

static void send_raw(size_t who, struct input *input)
{
	size_t length;
	const uint8_t *bytes = next_bytes(input, next_byte(input), &length);
	if (send(peers[who], bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* the watchdog has closed it */
}

static void spoil_ring(struct input *input)
{
	struct mapped_ring *memory = &watched.agents[next_byte(input) % 2].ring;
	size_t length;
	const uint8_t *bytes = next_bytes(input, next_byte(input), &length);
	if (memory->map != NULL)
		memcpy((char *)memory->map + next_byte(input), bytes, length);
}

/* What the loop does when everything is readable. */
static void receive_all(void)
{
	for (size_t i = 0; i < watched.lifecycle.count; i++)
		if (watched.agents[i].socket >= 0)
			watch_receive_from_shim(&watched, &watched.agents[i]);
	for (size_t i = 0; i < PENDING_MAX; i++)
		if (watched.pending[i].socket >= 0)
			watch_receive_pending(&watched, &watched.pending[i]);
}

/* Each line is one JSON object, and not too long for a container runtime. */
static size_t count_ends(void)
{
	size_t ends = 0;
	const char *line = watched.queue.bytes + watched.queue.start;
	const char *end = watched.queue.bytes + watched.queue.end;
	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		require(stop != NULL && *line == '{' && stop[-1] == '}');
		require((size_t)(stop - line) < REPORT_LINE_MAX);
		static const char event[] = "{\"event\":\"end\"";
		ends += memcmp(line, event, sizeof event - 1) == 0;
		line = stop + 1;
	}
	watched.queue.start = watched.queue.end = 0;
	return ends;
}

static void step(struct input *input)
{
	uint8_t what = next_byte(input);
	size_t who = next_byte(input) % PEERS;
	if (what % 6 == 0)
		connect_peer(who);
	else if (what % 6 == 4)
		spoil_ring(input);
	else if (peers[who] < 0)
		return;
	else if (what % 6 <= 2)
		send_made(who, input);
	else if (what % 6 == 3)
		send_raw(who, input);
	else {
		close(peers[who]);
		peers[who] = -1;
	}
	if (what & 0x80)
		receive_all();
}

static int open_files(void)
{
	int count = 0;
	DIR *folder = opendir("/proc/self/fd");
	require(folder != NULL);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {.data = data, .left = size < 4096 ? size : 4096};
	size_t ends = 0;
	uint64_t reported = 0;
	static unsigned runs;
	bool count_files = runs++ % 64 == 0; /* it takes longer than all the rest */
	int before = count_files ? open_files() : 0;
	begin();
	while (input.left > 0) {
		step(&input);
		ends += count_ends();
	}
	/* Whoever is left goes. */
	for (size_t i = 0; i < PEERS; i++)
		if (peers[i] >= 0)
			close(peers[i]);
	for (int i = 0; i < 64; i++) {
		receive_all();
		ends += count_ends();
	}
	for (size_t i = 0; i < watched.lifecycle.count; i++) {
		require(watched.agents[i].socket < 0 && watched.agents[i].ring.map == NULL);
		reported += watched.agents[i].shim_instance;
	}
	for (size_t i = 0; i < PENDING_MAX; i++)
		require(watched.pending[i].socket < 0);
	require(ends <= reported); /* LEAVING takes a greeting back */
	require(!count_files || open_files() == before);
	return 0;
}
