/* The watchdog's pure parts: when it may end, the ring, messages, what /proc says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "lib/base/ring.h"
#include "lib/document/arena.h"
#include "observer/pod/watchdog_report.h"
#include "watchdog/rate_limit.h"
#include "watchdog/report.h"
#include "watchdog/stdout_queue.h"
#include "watchdog/cgroup.h"
#include "lib/base/clock.h"
#include "watchdog/sidecar_lifecycle.h"
#include "watchdog/protocol.h"
#include "watchdog/signals.h"

/* ---- The sidecar's lifecycle ---- */

#define BEGAN (1000 * SECOND)

static struct sidecar_lifecycle lifecycle_of(bool classic, size_t count,
                                             const struct lifecycle_container *containers)
{
	struct sidecar_lifecycle lifecycle = {.classic = classic,
	                                      .grace = 30 * SECOND,
	                                      .start_timeout = 60 * SECOND,
	                                      .began_at = BEGAN,
	                                      .terminated_at = -1,
	                                      .count = count};
	memcpy(lifecycle.containers, containers, count * sizeof *containers);
	return lifecycle;
}

static void test_native_sidecar_ends_after_sigterm(void **state)
{
	(void)state;
	const struct lifecycle_container all[] = {{RESTART_NEVER, CONTAINER_WAITING, false},
	                                          {RESTART_NEVER, CONTAINER_TERMINATED, true},
	                                          {RESTART_NEVER, CONTAINER_RUNNING, false}};
	for (size_t count = 0; count <= 3; count++) {
		struct sidecar_lifecycle lifecycle = lifecycle_of(false, count, all);
		assert_int_equal(sidecar_lifecycle_end_at(&lifecycle), NEVER);
		lifecycle.terminated_at = BEGAN + SECOND;
		int64_t left = count == 3 ? 1500 * MILLISECOND : 0;
		assert_int_equal(sidecar_lifecycle_end_at(&lifecycle), BEGAN + SECOND + left);
	}
}

static void test_classic_sidecar_ends_with_the_last_container(void **state)
{
	(void)state;
	const struct {
		struct lifecycle_container container;
		int64_t over_at;
	} rows[] = {
	        {{RESTART_NEVER, CONTAINER_TERMINATED, false}, BEGAN},
	        {{RESTART_NEVER, CONTAINER_TERMINATED, true}, BEGAN},
	        {{RESTART_ON_FAILURE, CONTAINER_TERMINATED, false}, BEGAN},
	        {{RESTART_ON_FAILURE, CONTAINER_TERMINATED, true}, NEVER},
	        {{RESTART_ALWAYS, CONTAINER_TERMINATED, false}, NEVER},
	        {{RESTART_ALWAYS, CONTAINER_TERMINATED, true}, NEVER},
	        {{RESTART_NEVER, CONTAINER_RUNNING, false}, NEVER},
	        {{RESTART_NEVER, CONTAINER_WAITING, false}, BEGAN + 60 * SECOND},
	};
	const size_t count = sizeof rows / sizeof rows[0];
	for (size_t i = 0; i < count; i++) {
		struct sidecar_lifecycle lifecycle = lifecycle_of(true, 1, &rows[i].container);
		assert_int_equal(sidecar_lifecycle_end_at(&lifecycle), rows[i].over_at);
	}
	/* Of two, the later one counts. */
	for (size_t i = 0; i < count * count; i++) {
		const struct lifecycle_container both[] = {rows[i / count].container,
		                                           rows[i % count].container};
		int64_t a = rows[i / count].over_at;
		int64_t b = rows[i % count].over_at;
		struct sidecar_lifecycle lifecycle = lifecycle_of(true, 2, both);
		assert_int_equal(sidecar_lifecycle_end_at(&lifecycle), a > b ? a : b);
	}
}

static void test_classic_sidecar_after_sigterm(void **state)
{
	(void)state;
	const struct {
		int64_t grace;
		int64_t left;
	} rows[] = {{30 * SECOND, 28 * SECOND},
	            {4 * SECOND, 2 * SECOND},
	            {3 * SECOND, 1500 * MILLISECOND},
	            {SECOND, 500 * MILLISECOND},
	            {0, 0}};
	const struct lifecycle_container open = {RESTART_ALWAYS, CONTAINER_RUNNING, false};
	const struct lifecycle_container ended = {RESTART_ALWAYS, CONTAINER_TERMINATED, true};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct sidecar_lifecycle lifecycle = lifecycle_of(true, 1, &open);
		lifecycle.grace = rows[i].grace;
		lifecycle.terminated_at = BEGAN + SECOND;
		assert_int_equal(sidecar_lifecycle_end_at(&lifecycle),
		                 lifecycle.terminated_at + rows[i].left);
		/* Nobody is restarted then. */
		lifecycle.containers[0] = ended;
		assert_int_equal(sidecar_lifecycle_end_at(&lifecycle), lifecycle.terminated_at);
	}
}

/* ---- ring ---- */

#define SIZE 64

struct memory_of_ring {
	_Alignas(struct ring_header) char bytes[sizeof(struct ring_header) + SIZE];
};

/* Every length of writes in turn, against a plain text of all that was written. */
static void test_ring_keeps_the_end(void **state)
{
	(void)state;
	struct memory_of_ring memory;
	struct ring ring = ring_format(memory.bytes, sizeof memory.bytes);
	static char all[20000];
	size_t total = 0;
	for (size_t i = 0; i < 150; i++) {
		for (size_t k = 0; k < i; k++)
			all[total + k] = (char)('a' + (total + k) % 26);
		ring_write(&ring, all + total, i, (int64_t)i);
		total += i;
		char out[SIZE];
		uint64_t written;
		bool cut;
		size_t length = ring_read(&ring, out, sizeof out, &written, &cut);
		assert_int_equal(written, total);
		assert_int_equal(length, total < SIZE ? total : SIZE);
		assert_int_equal(cut, total > SIZE);
		assert_memory_equal(out, all + total - length, length);
		length = ring_read(&ring, out, 10, &written, &cut);
		assert_int_equal(length, total < 10 ? total : 10);
		assert_memory_equal(out, all + total - length, length);
	}
}

/* Written in place, in turn with plain writes. */
static void test_ring_is_written_in_place(void **state)
{
	(void)state;
	struct memory_of_ring memory;
	struct ring ring = ring_format(memory.bytes, sizeof memory.bytes);
	static char all[20000];
	size_t total = 0;
	for (size_t i = 0; i < 400; i++) {
		size_t wanted = i % 101;
		size_t most;
		char *place = ring_reserve(&ring, wanted, &most);
		assert_true(most <= wanted && most <= SIZE / 2 && (most > 0 || wanted == 0));
		assert_true(place >= ring.bytes && place + most <= ring.bytes + SIZE);
		/* Nobody comes back from here: half of what was there is left. */
		char out[SIZE];
		uint64_t written;
		bool cut;
		size_t length = ring_read(&ring, out, sizeof out, &written, &cut);
		assert_int_equal(written, total);
		assert_true(length >= (total < SIZE / 2 ? total : SIZE / 2));
		assert_memory_equal(out, all + total - length, length);

		size_t came = i % 3 == 0 ? 0 : most - (i % 7 < most ? i % 7 : 0);
		for (size_t k = 0; k < came; k++)
			place[k] = all[total + k] = (char)('a' + (total + k) % 26);
		ring_commit(&ring, came, (int64_t)i);
		total += came;
		if (i % 5 == 0) {
			memset(all + total, '-', i % 90);
			ring_write(&ring, all + total, i % 90, (int64_t)i);
			total += i % 90;
		}
		length = ring_read(&ring, out, sizeof out, &written, &cut);
		assert_int_equal(written, total);
		assert_int_equal(length, total < SIZE ? total : SIZE);
		assert_memory_equal(out, all + total - length, length);
	}
	assert_true(total > 10 * SIZE && total < sizeof all);
}

static void test_ring_drops_what_was_run_over(void **state)
{
	(void)state;
	struct memory_of_ring memory;
	struct ring ring = ring_format(memory.bytes, sizeof memory.bytes);
	char text[SIZE];
	char out[SIZE];
	uint64_t total;
	bool cut;
	for (size_t i = 0; i < SIZE; i++)
		text[i] = (char)i;
	ring_write(&ring, text, SIZE, 1);
	/* A writer that died after it had claimed n bytes more. */
	for (uint64_t n = 0; n <= SIZE + 10; n++) {
		atomic_store(&ring.header->reserved, SIZE + n);
		size_t length = ring_read(&ring, out, sizeof out, &total, &cut);
		size_t left = n < SIZE ? SIZE - (size_t)n : 0;
		assert_int_equal(length, left);
		assert_int_equal(total, SIZE);
		assert_int_equal(cut, n > 0);
		assert_memory_equal(out, text + SIZE - left, left);
	}
}

static void test_ring_is_taken_over(void **state)
{
	(void)state;
	char text[200];
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)i;
	for (size_t written = 0; written <= sizeof text; written++) {
		struct memory_of_ring first;
		_Alignas(struct ring_header) char second[sizeof(struct ring_header) + 37];
		struct ring from = ring_format(first.bytes, sizeof first.bytes);
		struct ring to = ring_format(second, sizeof second);
		char out[SIZE];
		uint64_t total;
		bool cut;
		ring_write(&from, text, written, 5);
		ring_take_over(&to, &from);
		size_t length = ring_read(&to, out, sizeof out, &total, &cut);
		size_t wanted = written < 37 ? written : 37;
		assert_int_equal(total, written);
		assert_int_equal(length, wanted);
		assert_memory_equal(out, text + written - wanted, wanted);
		assert_int_equal(atomic_load(&to.header->last_output), 5);
	}
}

/* From 32 to 64 KiB as in a pod, then on in the larger one: nothing is read that nobody wrote. */
static void test_ring_grows(void **state)
{
	(void)state;
	static _Alignas(struct ring_header) char small[sizeof(struct ring_header) + SIZE / 2];
	char text[4 * SIZE];
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(1 + i % 100);
	for (size_t written = 0; written <= 2 * SIZE; written++)
		for (size_t more = 0; more <= SIZE + 5; more++) {
			struct memory_of_ring large;
			struct ring from = ring_format(small, sizeof small);
			memset(large.bytes, 0, sizeof large.bytes);
			struct ring to = ring_format(large.bytes, sizeof large.bytes);
			char out[SIZE];
			uint64_t total;
			bool cut;
			ring_write(&from, text, written, 5);
			ring_take_over(&to, &from);
			ring_write(&to, text + written, more, 6);
			size_t held = (written < SIZE / 2 ? written : SIZE / 2) + more;
			size_t wanted = held < SIZE ? held : SIZE;
			size_t length = ring_read(&to, out, sizeof out, &total, &cut);
			assert_int_equal(total, written + more);
			assert_int_equal(length, wanted);
			assert_memory_equal(out, text + total - wanted, wanted);
			assert_int_equal(cut, wanted < total);
		}
}

/* Bytes that do not follow what the ring holds, as TAIL may bring them. */
static void test_ring_with_a_gap(void **state)
{
	(void)state;
	struct memory_of_ring memory;
	char out[SIZE];
	uint64_t total;
	bool cut;
	struct ring ring = ring_format(memory.bytes, sizeof memory.bytes);
	ring_write(&ring, "before", 6, 1);
	ring_put(&ring, "tail", 4, 30);
	assert_int_equal(ring_read(&ring, out, sizeof out, &total, &cut), 4);
	assert_memory_equal(out, "tail", 4);
	assert_true(total == 30 && cut);
	ring_write(&ring, " end", 4, 1);
	assert_int_equal(ring_read(&ring, out, sizeof out, &total, &cut), 8);
	assert_memory_equal(out, "tail end", 8);
	/* A lie. */
	atomic_store(&ring.header->first, UINT64_MAX);
	assert_int_equal(ring_read(&ring, out, sizeof out, &total, &cut), 0);
	assert_true(total == 34 && cut);
}

static void test_ring_of_others(void **state)
{
	(void)state;
	struct memory_of_ring memory;
	struct ring ring;
	struct ring made = ring_format(memory.bytes, sizeof memory.bytes);
	assert_true(ring_open(memory.bytes, sizeof memory.bytes, &ring));
	assert_false(ring_open(memory.bytes, sizeof memory.bytes - 1, &ring));
	assert_false(ring_open(memory.bytes, sizeof(struct ring_header), &ring));
	assert_false(ring_open(memory.bytes, SIZE_MAX, &ring));
	made.header->size = SIZE + 1;
	assert_false(ring_open(memory.bytes, sizeof memory.bytes, &ring));
	made.header->size = SIZE;
	made.header->version = RING_VERSION + 1;
	assert_false(ring_open(memory.bytes, sizeof memory.bytes, &ring));
	made.header->version = RING_VERSION;
	made.header->magic ^= 1;
	assert_false(ring_open(memory.bytes, sizeof memory.bytes, &ring));
}

/* ---- messages ---- */

static void test_messages_that_are_none(void **state)
{
	(void)state;
	struct message good = message_make(MESSAGE_HELLO);
	struct message decoded;
	struct error error;
	memcpy(good.name, "main", 5);
	assert_true(message_decode(&good, sizeof good, &decoded, &error));
	assert_memory_equal(&good, &decoded, sizeof good);
	for (size_t length = 0; length < sizeof good; length++)
		assert_false(message_decode(&good, length, &decoded, &error));

	struct message bad = good;
	bad.magic++;
	assert_false(message_decode(&bad, sizeof bad, &decoded, &error));
	bad = good;
	bad.layout++;
	assert_false(message_decode(&bad, sizeof bad, &decoded, &error));
	/* Any version of the layout is understood. */
	for (int32_t version = 0; version < 4; version++) {
		struct message other = good;
		other.version = version;
		assert_true(message_decode(&other, sizeof other, &decoded, &error));
	}
	for (unsigned type = 0; type <= UINT16_MAX; type++) {
		bad = good;
		bad.type = (uint16_t)type;
		assert_int_equal(message_decode(&bad, sizeof bad, &decoded, &error),
		                 type >= MESSAGE_HELLO && type <= MESSAGE_TYPE_MAX);
	}
	for (int byte = 1; byte < 256; byte++) {
		bad = good;
		bad.name[2] = (char)byte;
		assert_int_equal(message_decode(&bad, sizeof bad, &decoded, &error),
		                 byte > ' ' && byte < 0x7f);
	}
	bad = good;
	memset(bad.name, 'a', sizeof bad.name);
	assert_false(message_decode(&bad, sizeof bad, &decoded, &error));
	assert_string_equal(error.message, "the name is no text");
}

/* ---- what /proc says ---- */

static void test_cgroup_path(void **state)
{
	(void)state;
	static const char hybrid[] =
	        "12:cpu,cpuacct:/a\n7:memory:/kubepods/pod1/c2\n1:name=x:/y\n0::/z\n";
	static const struct {
		const char *text;
		const char *controller;
		const char *path;
	} rows[] = {
	        {hybrid, "memory", "/kubepods/pod1/c2"},
	        {hybrid, "", "/z"},
	        {"0::/\n", "", "/"},
	        {"0::/\n", "memory", ""},
	        {"7:memory:/a", "memory", "/a"}, /* no line end */
	        {"7:memory2:/a\n8:xmemory:/b\n", "memory", ""},
	        {"7:memory\n0::/c:d\n", "", "/c:d"},
	        {"", "", ""},
	        {"::::\n", "memory", ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char path[64] = "untouched";
		cgroup_find_path(rows[i].text, rows[i].controller, path, sizeof path);
		assert_string_equal(path, rows[i].path);
	}
	char small[5];
	cgroup_find_path(hybrid, "memory", small, sizeof small);
	assert_string_equal(small, "/kub");
}

static void test_signal_masks(void **state)
{
	(void)state;
	uint64_t mask = 1;
	static const char status[] = "Name:\tx\nSigBlk:\t0000000000010000\nSigCgt:\t00000001ffGa\n";
	assert_true(signals_find_mask(status, "\nSigBlk:", &mask));
	assert_int_equal(mask, 0x10000);
	assert_true(signals_find_mask(status, "\nSigCgt:", &mask));
	assert_int_equal(mask, 0x1ff); /* up to what is no digit of the kernel's */
	assert_true(signals_find_mask("\nSigCgt:\tffffffffffffffff1\n", "\nSigCgt:", &mask));
	assert_true(mask == UINT64_MAX);
	mask = 7;
	assert_false(signals_find_mask(status, "\nSigIgn:", &mask));
	assert_false(signals_find_mask("\nSigCgt:\t\n", "\nSigCgt:", &mask));
	assert_false(signals_find_mask("\nSigCgt:", "\nSigCgt:", &mask));
	assert_int_equal(mask, 7);
}

/* ---- Limits ---- */

static void test_rate_limit(void **state)
{
	(void)state;
	static const struct rate_limit limit = {3, 10 * SECOND};
	/* When a token was asked for, in seconds, and whether there was one. */
	static const struct {
		int64_t at;
		bool allowed;
	} rows[] = {{5, true},   {5, true},   {6, true},   {6, false},  {14, false},
	            {15, true},  {15, false}, {24, false}, {25, true},  {80, true},
	            {80, true},  {80, true},  {80, false}, {79, false}, {90, true},
	            {90, false}, {100, true}, {120, true}, {120, true}, {120, false}};
	rate_bucket bucket = 0;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(rate_limit_take(&limit, &bucket, BEGAN + rows[i].at * SECOND),
		                 rows[i].allowed);
	/* Nothing overflows at the end of time. */
	bucket = 0;
	for (int i = 0; i < 3; i++)
		assert_true(rate_limit_take(&limit, &bucket, NEVER - SECOND));
}

/* Bytes are numbered through, whatever has been written and moved. */
static void test_stdout_queue(void **state)
{
	(void)state;
	static char bytes[1000];
	struct stdout_queue queue = {.bytes = bytes, .capacity = sizeof bytes};
	static char line[400];
	char sink[4096];
	int ends[2];
	uint64_t added = 0;
	assert_int_equal(pipe(ends), 0);
	queue.fd = ends[1];
	for (int i = 0; i < 50; i++) {
		size_t length = (size_t)(i * 37 % 400);
		memset(line, 'a' + i % 26, sizeof line);
		assert_true(stdout_queue_add(&queue, line, length, 0));
		added += length;
		assert_int_equal(stdout_queue_end(&queue), added);
		assert_false(stdout_queue_add(&queue, line, 1, 1000));
		assert_false(stdout_queue_add(&queue, line, SIZE_MAX, 0));
		stdout_queue_write(&queue);
		assert_int_equal(queue.written, added);
		for (size_t got = 0; got < length;) {
			ssize_t count = read(ends[0], sink, sizeof sink);
			assert_true(count > 0 && sink[0] == 'a' + i % 26);
			got += (size_t)count;
		}
	}
	/* A reader that is gone: the queue is emptied, and counts on. */
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	assert_true(stdout_queue_add(&queue, line, 300, 0));
	stdout_queue_write(&queue);
	assert_int_equal(queue.written, added + 300);
	assert_int_equal(stdout_queue_poll(&queue).fd, -1);
	close(ends[1]);
}

/* ---- Reports ---- */

/* Whatever an agent prints, the observer reads the report about it, with the end of the output. */
static void test_reports_are_read_by_the_observer(void **state)
{
	(void)state;
	static const char *const outputs[] = {"plain",    "a\0b\0",       "\xFF\xFE", "\x1b[1m",
	                                      "\xC2\x9B", "\xE2\x80\xAE", "\"\\",     "\r\n\x7F"};
	static const size_t lengths[] = {5, 4, 2, 4, 2, 3, 2, 3};
	for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
		static char line[REPORT_LINE_MAX + 1];
		char output[32];
		struct buffer out;
		struct watchdog_report read;
		struct report_pod pod = {.uid = "u-1", .tail_size = 64};
		struct report report = {.event = EVENT_END,
		                        .container = "main",
		                        .shim_instance = 1,
		                        .observation = {.ended = ENDED_EXITED, .exit_code = 1},
		                        .output = output,
		                        .output_length = lengths[i] + 4};
		memcpy(output, outputs[i], lengths[i]);
		memcpy(output + lengths[i], " end", 4);
		buffer_init_fixed(&out, line, sizeof line);
		report_write(&pod, &report, &out);
		assert_true(buffer_ok(&out) && line[out.length - 1] == '\n');
		struct arena *arena = arena_new((size_t)1 << 20);
		assert_non_null(arena);
		assert_true(watchdog_report_read(arena, line, out.length - 1, "u-1", &read));
		assert_string_equal(read.container, "main");
		assert_true(strlen(read.log_tail) > 4);
		assert_string_equal(read.log_tail + strlen(read.log_tail) - 4, " end");
		arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_native_sidecar_ends_after_sigterm),
	        cmocka_unit_test(test_classic_sidecar_ends_with_the_last_container),
	        cmocka_unit_test(test_classic_sidecar_after_sigterm),
	        cmocka_unit_test(test_ring_keeps_the_end),
	        cmocka_unit_test(test_ring_is_written_in_place),
	        cmocka_unit_test(test_ring_drops_what_was_run_over),
	        cmocka_unit_test(test_ring_is_taken_over),
	        cmocka_unit_test(test_ring_grows),
	        cmocka_unit_test(test_ring_with_a_gap),
	        cmocka_unit_test(test_ring_of_others),
	        cmocka_unit_test(test_messages_that_are_none),
	        cmocka_unit_test(test_cgroup_path),
	        cmocka_unit_test(test_signal_masks),
	        cmocka_unit_test(test_rate_limit),
	        cmocka_unit_test(test_stdout_queue),
	        cmocka_unit_test(test_reports_are_read_by_the_observer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
