/* A record of any content: what is read is written, and read back the same; nothing of it reaches a
 * terminal that could steer it, and no line is wider than it may be. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"
#include "lib/kube/agent_exit.h"
#include "lib/base/buffer.h"
#include "lib/base/utf8.h"

static void require(bool good)
{
	if (!good)
		abort();
}

/* Valid UTF-8 without control characters but those that are allowed. */
static void require_safe(const struct buffer *text, const char *allowed)
{
	const char *bytes = buffer_text(text);
	require(utf8_valid_prefix(bytes, text->length) == text->length);
	for (size_t i = 0; i < text->length; i++) {
		unsigned char c = (unsigned char)bytes[i];
		require((c >= 0x20 && c != 0x7f) || (c != 0 && strchr(allowed, c) != NULL));
		/* C1: U+0080 to U+009F is C2 80 to C2 9F. */
		require(c != 0xc2 || (unsigned char)bytes[i + 1] >= 0xa0);
	}
}

static void check_text(const char *text)
{
	struct buffer out;
	struct buffer cut;
	buffer_init(&out, (size_t)4 << 20);
	buffer_init(&cut, (size_t)4 << 20);
	terminal_block(&out, text, "  ");
	require_safe(&out, "\n\t");
	buffer_clear(&out);
	terminal_json(&out, text, strlen(text));
	require_safe(&out, "\n");
	buffer_clear(&out);
	terminal_line(&out, text);
	require_safe(&out, "");
	for (size_t width = 1; width < 24; width += 3) {
		buffer_clear(&cut);
		terminal_cut(&cut, buffer_text(&out), width, width % 2 == 0);
		require_safe(&cut, "");
		require(terminal_columns(buffer_text(&cut)) <= width);
	}
	buffer_free(&out);
	buffer_free(&cut);
}

static json *write_record(struct arena *arena, const struct agent_exit *exit, struct buffer *out)
{
	json *root = NULL;
	buffer_clear(out);
	agent_exit_write(exit, out);
	require(buffer_ok(out) && out->length <= AGENT_EXIT_SIZE_MAX);
	json_parse(arena, buffer_text(out), out->length, 0, &root, NULL);
	return root;
}

static void check_record(struct arena *arena, const json *root)
{
	struct agent_exit exit;
	struct agent_exit again;
	struct buffer first;
	struct buffer second;
	if (!agent_exit_read(root, &exit, NULL))
		return;
	buffer_init(&first, AGENT_EXIT_SIZE_MAX);
	buffer_init(&second, AGENT_EXIT_SIZE_MAX);
	/* Bytes that are no UTF-8 become longer when they are replaced, after the cut: the second
	 * time texts are as they stay, the third time the labels, which are made of them. Context
	 * whose names are given twice is no faithful JSON. */
	json *written = write_record(arena, &exit, &first);
	if (written != NULL && agent_exit_read(written, &again, NULL)) {
		for (int i = 0; i < 2; i++) {
			written = write_record(arena, &again, &first);
			require(written != NULL && agent_exit_read(written, &again, NULL));
		}
		write_record(arena, &again, &second);
		require(strcmp(buffer_text(&first), buffer_text(&second)) == 0);
	}
	buffer_clear(&second);
	agent_exit_write_status(&exit, &second);
	require(buffer_ok(&second));
	buffer_free(&first);
	buffer_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new((size_t)64 << 20);
	char *text = malloc(size + 1);
	json *root;
	if (arena != NULL && text != NULL) {
		memcpy(text, data, size);
		text[size] = '\0';
		check_text(text);
		if (json_parse(arena, text, size, 0, &root, NULL) != JSON_INVALID)
			check_record(arena, root);
	}
	free(text);
	arena_free(arena);
	return 0;
}
