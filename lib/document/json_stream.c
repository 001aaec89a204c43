#include "lib/document/json_stream.h"

#include <string.h>

#define EXTRA_RESERVE 13 /* of the budget, for comma, quotes, colon, and null, {} or [] */
#define EXTRA_VALUE   4  /* of that, for the value */

/* ---- Where the text is ---- */

static struct json_frame *top(struct json_stream *stream)
{
	return &stream->frames[stream->frame_count - 1];
}

/* All levels that are open are kept. */
static bool is_kept(const struct json_stream *stream)
{
	return stream->frame_count == stream->scanner.depth;
}

/* Inside the array whose elements are given away. */
static bool in_each(const struct json_stream *stream)
{
	return stream->frame_count > 1 && stream->frames[1].filter->each;
}

/* That array is the innermost level. */
static bool at_element(const struct json_stream *stream)
{
	return in_each(stream) && stream->frame_count == 2 && is_kept(stream);
}

static void set_cut(struct json_stream *stream)
{
	if (in_each(stream))
		stream->element_cut = true;
	else
		stream->object_cut = true;
}

/* ---- Keys ---- */

static void on_key(void *context)
{
	struct json_stream *stream = context;
	stream->copying = false;
	stream->key_length = 0;
	stream->key_escaped = false;
	stream->key_lost = !is_kept(stream);
}

static void take_key(struct json_stream *stream, const char *bytes, size_t length)
{
	if (stream->key_lost || length > sizeof stream->key - stream->key_length) {
		stream->key_lost = true;
		return;
	}
	memcpy(stream->key + stream->key_length, bytes, length);
	stream->key_length += length;
}

static bool has_name(const struct json_stream *stream, const struct json_frame *frame,
                     const char *name)
{
	return frame->name != 0 && frame->name_length == strlen(name) &&
	       memcmp(stream->out.data + frame->name, name, frame->name_length) == 0;
}

static bool is_key_of(const struct json_stream *stream, const struct json_filter *member)
{
	size_t length = strlen(member->key);
	if (json_filter_is_wildcard(member))
		return !stream->key_escaped && stream->key_length >= length - 1 &&
		       memcmp(stream->key, member->key, length - 1) == 0;
	return stream->key_length == length && memcmp(stream->key, member->key, length) == 0;
}

/* The present key's entry; NULL: it has none, or it is not wanted here. */
static const struct json_filter *find_member(struct json_stream *stream)
{
	struct json_frame *frame = top(stream);
	const struct json_filter *member = frame->filter->members;
	uint64_t bit = 1;
	for (; member->key != NULL && !is_key_of(stream, member); member++) {
		bit <<= 1;
		stream->keys++;
	}
	if (member->key == NULL || json_filter_is_wildcard(member))
		return member->key == NULL ? NULL : member;
	bool again = (frame->seen & bit) != 0;
	frame->seen |= bit;
	if (again || (member->only_in != NULL && !has_name(stream, frame, member->only_in)))
		return NULL;
	return member;
}

static void on_key_end(void *context)
{
	struct json_stream *stream = context;
	stream->member = stream->key_lost ? NULL : find_member(stream);
	stream->key_lost = true; /* what follows is no key's */
}

/* ---- A value that begins ---- */

/* What the value is to the filter; NULL: nothing. */
static const struct json_filter *wanted(struct json_stream *stream)
{
	if (stream->scanner.depth == 0)
		return &stream->root;
	if (!is_kept(stream))
		return NULL;
	const struct json_frame *frame = top(stream);
	if (!frame->array)
		return stream->member;
	if (frame->filter->each || frame->count < frame->filter->elements_max)
		return frame->filter;
	set_cut(stream);
	return NULL;
}

static bool has_shape(const struct json_filter *filter, enum json_shape shape, bool in_array)
{
	switch (shape) {
	case JSON_SHAPE_ARRAY:
		return !in_array && (filter->elements_max > 0 || filter->each);
	case JSON_SHAPE_OBJECT:
		return filter->members != NULL && (in_array || !filter->each);
	default:
		return filter->members == NULL;
	}
}

/* The name under which the present member is written. */
static const char *written_key(const struct json_stream *stream, size_t *ret_length)
{
	bool wildcard = json_filter_is_wildcard(stream->member);
	*ret_length = wildcard ? stream->key_length : strlen(stream->member->key);
	return wildcard ? stream->key : stream->member->key;
}

/* Takes what the value needs at least from the budget of extra ones. */
static bool reserve(struct json_stream *stream)
{
	size_t length = 0;
	if (!top(stream)->array)
		written_key(stream, &length);
	if (EXTRA_RESERVE + length > stream->extra_max - stream->extra_used) {
		set_cut(stream);
		return false;
	}
	stream->extra_used += EXTRA_RESERVE + length;
	return true;
}

/* Comma and key; or the beginning of an element that is given away. */
static void write_prefix(struct json_stream *stream)
{
	struct json_frame *frame = top(stream);
	size_t length;
	if (at_element(stream)) {
		stream->element_start = stream->out.length;
		stream->element_cut = false;
		stream->extra_used = 0;
		return;
	}
	if (frame->count++ > 0)
		buffer_append_char(&stream->out, ',');
	if (frame->array)
		return;
	const char *key = written_key(stream, &length);
	buffer_append_char(&stream->out, '"');
	buffer_append(&stream->out, key, length);
	buffer_append_text(&stream->out, "\":");
}

static void begin_scalar(struct json_stream *stream, const struct json_filter *filter, bool string)
{
	size_t most = string ? json_filter_text_max(filter) : JSON_FILTER_WORD_MAX;
	size_t left = stream->extra_max - stream->extra_used + EXTRA_VALUE - (string ? 2 : 0);
	stream->text_left = stream->extra && left < most ? left : most;
	stream->copying = true;
	stream->high = 0;
	if (string)
		buffer_append_char(&stream->out, '"');
}

static void push_frame(struct json_stream *stream, const struct json_filter *filter, bool array)
{
	stream->frames[stream->frame_count++] =
	        (struct json_frame){.filter = filter, .array = array, .extra = stream->extra};
	if (!(filter->each && array))
		buffer_append_char(&stream->out, array ? '[' : '{');
}

static void on_value(void *context, enum json_shape shape)
{
	struct json_stream *stream = context;
	bool outermost = stream->scanner.depth == 0;
	if (outermost) {
		stream->object_cut = false;
		stream->extra_used = 0;
	}
	stream->copying = false;
	const struct json_filter *filter = wanted(stream);
	if (filter == NULL)
		return;
	bool in_array = !outermost && top(stream)->array;
	bool fits = has_shape(filter, shape, in_array);
	bool each_array = filter->each && !in_array;
	if (each_array && !fits)
		return;
	stream->extra = filter->extra || (!outermost && top(stream)->extra);
	if (!outermost && !each_array) {
		if (stream->extra && !reserve(stream))
			return;
		write_prefix(stream);
	}
	stream->start = stream->out.length;
	if (!fits)
		buffer_append_text(&stream->out, "null");
	else if (shape == JSON_SHAPE_OBJECT || shape == JSON_SHAPE_ARRAY)
		push_frame(stream, filter, shape == JSON_SHAPE_ARRAY);
	else
		begin_scalar(stream, filter, shape == JSON_SHAPE_STRING);
}

/* ---- The text of a string or word ---- */

static void copy(struct json_stream *stream, const char *bytes, size_t length)
{
	if (length <= stream->text_left) {
		buffer_append(&stream->out, bytes, length);
		stream->text_left -= length;
		return;
	}
	buffer_truncate(&stream->out, stream->start);
	buffer_append_text(&stream->out, "null");
	stream->copying = false;
	set_cut(stream);
}

/* The escape that ends at that place of the output stands for no character: U+FFFD. */
static void replace_escape(struct json_stream *stream, size_t end)
{
	static const char replacement[] = "\\ufffd";
	memcpy(stream->out.data + end - (sizeof replacement - 1), replacement,
	       sizeof replacement - 1);
}

/* Half of a surrogate pair came, and the other half does not follow. */
static void flush_high_surrogate(struct json_stream *stream)
{
	if (stream->high != 0)
		replace_escape(stream, stream->high);
	stream->high = 0;
}

static void on_content(void *context, const char *bytes, size_t length)
{
	struct json_stream *stream = context;
	if (stream->scanner.in_key) {
		take_key(stream, bytes, length);
	} else if (stream->copying) {
		flush_high_surrogate(stream);
		copy(stream, bytes, length);
	}
}

static void on_escape(void *context, const char *text, size_t length, unsigned code)
{
	struct json_stream *stream = context;
	const char ascii = (char)code;
	if (stream->scanner.in_key) {
		stream->key_escaped = true;
		if (code < 0x80)
			take_key(stream, &ascii, 1);
		else
			stream->key_lost = true; /* a filter's keys are ASCII */
		return;
	}
	if (!stream->copying)
		return;
	bool high = code >= 0xD800 && code <= 0xDBFF;
	bool low = code >= 0xDC00 && code <= 0xDFFF;
	bool pair = low && stream->high != 0;
	if (!pair)
		flush_high_surrogate(stream);
	copy(stream, text, length);
	stream->high = stream->copying && high ? stream->out.length : 0;
	if (stream->copying && ((low && !pair) || code == 0))
		replace_escape(stream, stream->out.length);
}

/* ---- A value that ends ---- */

static void end_scalar(struct json_stream *stream, bool string)
{
	if (string) {
		flush_high_surrogate(stream);
		struct json_frame *frame = top(stream);
		if (!frame->array && strcmp(stream->member->key, "name") == 0) {
			frame->name = stream->start + 1;
			frame->name_length = stream->out.length - frame->name;
		}
		buffer_append_char(&stream->out, '"');
	}
	size_t length = stream->out.length - stream->start;
	if (stream->extra && length > EXTRA_VALUE)
		stream->extra_used += length - EXTRA_VALUE;
	stream->copying = false;
}

static void give(struct json_stream *stream, size_t from, bool element)
{
	const struct json_piece piece = {
	        .text = stream->out.data + from,
	        .length = stream->out.length - from,
	        .element = element,
	        .cut = element ? stream->element_cut : stream->object_cut,
	};
	/* Cannot be: see json_stream_init(). */
	if (!buffer_ok(&stream->out))
		stream->scanner.problem = "what is kept does not fit";
	else if (!stream->take(stream->context, &piece))
		json_scanner_stop(&stream->scanner);
	buffer_truncate(&stream->out, from);
}

static void on_value_end(void *context, enum json_shape shape)
{
	struct json_stream *stream = context;
	bool container = shape == JSON_SHAPE_OBJECT || shape == JSON_SHAPE_ARRAY;
	if (container && stream->frame_count == stream->scanner.depth + 1) {
		const struct json_frame *frame = top(stream);
		if (!(frame->filter->each && frame->array))
			buffer_append_char(&stream->out, frame->array ? ']' : '}');
		stream->frame_count--;
	} else if (stream->copying) {
		end_scalar(stream, shape == JSON_SHAPE_STRING);
	}
	if (stream->scanner.depth == 0) {
		stream->objects++;
		give(stream, 0, false);
	} else if (at_element(stream)) {
		give(stream, stream->element_start, true);
	}
}

/* ---- The stream ---- */

bool json_stream_init(struct json_stream *stream, const struct json_filter *members,
                      size_t extra_max, char *storage, size_t size, struct error *error)
{
	static const struct json_events events = {
	        .key = on_key,
	        .key_end = on_key_end,
	        .value = on_value,
	        .content = on_content,
	        .escape = on_escape,
	        .value_end = on_value_end,
	};
	size_t bound = json_filter_bound(members, extra_max);
	if (bound == 0)
		return error_set(error, "a JSON filter that breaks its own rules");
	if (bound >= size)
		return error_set(error,
		                 "a JSON filter keeps up to %zu bytes, there is room for %zu",
		                 bound, size - 1);
	*stream = (struct json_stream){.root = {.key = "", .members = members},
	                               .extra_max = extra_max};
	json_scanner_init(&stream->scanner, &events, stream);
	buffer_init_fixed(&stream->out, storage, size);
	return true;
}

bool json_stream_feed(struct json_stream *stream, const char *bytes, size_t length,
                      json_stream_take *take, void *context, struct error *error)
{
	stream->take = take;
	stream->context = context;
	return json_scanner_feed(&stream->scanner, bytes, length, error);
}
