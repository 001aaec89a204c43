#include "lib/diagnosis/snippet.h"

#include <stdint.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/buffer.h"
#include "lib/base/utf8.h"
#include "lib/diagnosis/normalise.h"
#include "lib/diagnosis/log_line.h"
#include "lib/diagnosis/quoted_output.h"
#include "lib/diagnosis/weigh.h"

#define CANDIDATES 12
#define CHOSEN_MAX 6
/* Lines further than this from the statement are another story. So is a statement this far from
 * the end of the output, unless it is fatal by its own word: it may be followed by long dumps. */
#define NEIGHBOURHOOD 200
/* How many lines behind an exception may belong to its message, and what they weigh. */
#define MESSAGE_LINES  3
#define WEIGHT_MESSAGE 38U
/* What the last line of a Python traceback weighs at least, and a cause that Rust's anyhow lists.
 */
#define WEIGHT_TRACEBACK 93U
#define WEIGHT_LISTED    86U
/* How much of a line is shown, of the statement and of another one; a shorter rest is not worth
 * its place. */
#define STATEMENT_SHOWN ((size_t)400)
#define LINE_SHOWN      ((size_t)240)
#define REST_LEAST      ((size_t)60)
/* How many empty lines may be between a heading and what stands under it. */
#define BLANKS_MAX 2

/* The rest of a statement may be in the next line, or always is. */
enum continues { CONTINUES_NOT, CONTINUES_MAYBE, CONTINUES };

struct candidate {
	size_t offset; /* of the line in the tail */
	size_t next;   /* of the line that belongs to it; 0: none does */
	size_t index;  /* its number */
	size_t value;
	uint64_t hash; /* of its text, normalised as for fingerprints */
	struct line_weight weight;
};

struct picker {
	const struct own_rules *own;
	const char *tail;
	size_t length;
	struct candidate best[CANDIDATES];
	size_t count;
	size_t lines;         /* of the tail */
	size_t last_lines[3]; /* offsets of the last lines that are no frames; newest last */
	size_t last_count;
	bool in_traceback; /* of Python: the next line without an indent is the statement */
	bool has_frames;   /* of that traceback, one was seen */
	bool ignored;      /* Python said that it ignores what comes next */
	bool in_causes;    /* of Rust's anyhow: indented lines are ever deeper causes */
	bool in_object;    /* a printed object, opened by a statement that ends with { */
	bool in_quoted;    /* what a command printed that an agent ran as a tool */
	bool in_fence;     /* a code block of what an agent wrote */
	char prefix[96];   /* what stood before the traceback in its line, as "[rank1]: " */
	size_t prefix_length;
	struct log_line line;  /* the one that is looked at */
	struct log_line other; /* the one that belongs to it */
};

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* The end of the line at start; the offset of its \n or the length of the tail. */
static size_t line_end(const struct picker *picker, size_t start)
{
	const char *end = memchr(picker->tail + start, '\n', picker->length - start);
	return end == NULL ? picker->length : (size_t)(end - picker->tail);
}

static uint64_t hash_line(const struct log_line *line)
{
	char storage[LINE_SHOWN * 2];
	struct buffer text;
	uint64_t hash = UINT64_C(14695981039346656037);
	size_t length = line->length < LINE_SHOWN ? line->length : LINE_SHOWN;
	buffer_init_fixed(&text, storage, sizeof storage);
	normalise(line->text + (length == line->length ? line->message : 0),
	          length - (length == line->length ? line->message : 0), &text);
	for (size_t i = 0; i < text.length; i++)
		hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(1099511628211);
	return hash;
}

/* --- Surveying the lines --- */

/*
 * Keeps the CANDIDATES best; of two that say the same, the later one. Returns where the candidate
 * is kept until the next one comes; NULL: it is not.
 */
static struct candidate *keep(struct picker *picker, const struct candidate *candidate)
{
	size_t place = picker->count;
	for (size_t i = 0; i < picker->count; i++)
		if (picker->best[i].hash == candidate->hash)
			place = i;
	if (place == picker->count && picker->count == CANDIDATES) {
		place = 0;
		for (size_t i = 1; i < CANDIDATES; i++)
			if (picker->best[i].value < picker->best[place].value)
				place = i;
		if (picker->best[place].value > candidate->value)
			return NULL;
	} else if (place == picker->count) {
		picker->count++;
	}
	picker->best[place] = *candidate;
	return &picker->best[place];
}

static void begin_traceback(struct picker *picker, const struct log_line *line,
                            const char *traceback)
{
	picker->in_traceback = true;
	picker->has_frames = false;
	picker->prefix_length = (size_t)(traceback - line->text);
	if (picker->prefix_length > sizeof picker->prefix)
		picker->prefix_length = 0;
	memcpy(picker->prefix, line->text, picker->prefix_length);
}

/* A frame, or the source line under one: what is indented, behind the traceback's own prefix,
 * which may count or tell the time. */
static bool is_in_traceback(const struct picker *picker, const struct log_line *line)
{
	size_t n = 0;
	while (n < picker->prefix_length && n < line->length &&
	       (line->text[n] == picker->prefix[n] ||
	        (ascii_is_digit(line->text[n]) && ascii_is_digit(picker->prefix[n]))))
		n++;
	if (n > 0 && n == picker->prefix_length && n < line->length)
		return line->text[n] == ' ';
	/* loguru marks a frame with a > */
	return line->indent > 0 || line->length == 0 || starts_with(line->text, "> File \"");
}

/* What the exception weighs that a traceback ends with. */
static void weigh_exception(struct picker *picker, struct line_weight *weight)
{
	picker->in_traceback = false;
	weight->frame = false;
	if (picker->ignored) {
		picker->ignored = false;
		weight->weight = WEIGHT_HINT;
		return;
	}
	if (weight->weight < WEIGHT_TRACEBACK)
		weight->weight = WEIGHT_TRACEBACK;
	if (weight->weight > weight->ceiling && weight->ceiling > WEIGHT_STATEMENT)
		weight->weight = weight->ceiling;
}

/* Python goes on, to its end, after the exception that comes next. */
static bool is_ignored(const char *text)
{
	return starts_with(text, "Exception ignored ") ||
	       starts_with(text, "Error in atexit._run_exitfuncs") ||
	       starts_with(text, "--- Logging error ---");
}

/* The key member of an object that was printed under a heading: "message": "…". */
static bool is_key_member(const char *text)
{
	static const char *const members[] = {"\"message\": ", "message: ", "\"error\": \"",
	                                      "\"detail\": \"", "\"msg\": "};
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (starts_with(text, members[i]))
			return true;
	return false;
}

/* A heading alone in its line: of color-eyre and boxes, "Error" with or without a colon. */
static bool opens_causes(const char *text)
{
	return strcmp(text, "Caused by:") == 0 || strcmp(text, "Error:") == 0 ||
	       strcmp(text, "Error") == 0;
}

/* Where Python's heading of a traceback begins, which ends its line; a quoted one does not. */
static const char *find_traceback(const struct log_line *line)
{
	static const char heading[] = "Traceback (most recent call last):";
	size_t length = strlen(heading);
	if (line->json || line->transcript || line->length < length)
		return NULL;
	const char *at = line->text + line->length - length;
	return memcmp(at, heading, length) == 0 ? at : NULL;
}

/* The weight that comes from the lines before, and what this line means for the next ones. */
static void weigh_in_context(struct picker *picker, const struct log_line *line,
                             struct line_weight *weight)
{
	const char *traceback = find_traceback(line);
	if (traceback != NULL) {
		begin_traceback(picker, line, traceback);
		weight->weight = 0;
	} else if (picker->in_traceback && is_in_traceback(picker, line)) {
		picker->has_frames = true;
		weight->weight = 0;
	} else if (picker->in_traceback && !picker->has_frames) {
		/* A heading alone was quoted. */
		picker->in_traceback = false;
	} else if (is_ignored(line->text)) {
		picker->ignored = true;
		weight->weight = WEIGHT_HINT;
	} else if (picker->in_traceback || (picker->ignored && line->length > 0)) {
		weigh_exception(picker, weight);
	} else if (opens_causes(line->text)) {
		picker->in_causes = true;
		weight->weight = 0;
	} else if ((picker->in_causes && line->indent > 0 && line->length > 0 && !weight->frame) ||
	           (picker->in_object && is_key_member(line->text))) {
		weight->weight = WEIGHT_LISTED;
	} else {
		picker->in_causes = picker->in_causes && line->length == 0;
		picker->in_object = picker->in_object && line->text[0] != '}';
		if (weight->frame)
			weight->weight = 0;
	}
}

static enum continues continues(const struct log_line *line, const struct line_weight *weight)
{
	const char *text = line->text;
	bool colon = line->length > 0 && text[line->length - 1] == ':';
	if (weight->take == RULE_TAKE_NEXT)
		return CONTINUES;
	return colon ? CONTINUES_MAYBE : CONTINUES_NOT;
}

/* The line has a mark of carets or tildes under it, so it was quoted from a source file. */
static bool is_quoted(const struct picker *picker, size_t end)
{
	const char *tail = picker->tail;
	size_t i = end + 1;
	while (i < picker->length && (tail[i] == ' ' || tail[i] == '\t'))
		i++;
	if (i >= picker->length || (tail[i] != '^' && tail[i] != '~'))
		return false;
	return i + 1 == picker->length || strchr("^~ \r\n", tail[i + 1]) != NULL;
}

/* What a line may belong to: the statement before it. */
struct message {
	struct candidate *statement; /* as it is kept; NULL: it is not */
	unsigned weight;             /* of the statement */
	enum continues continues;    /* only for the next line that is not empty */
	unsigned blanks;             /* how many were empty */
	unsigned lines;              /* how many more of its lines are worth showing */
};

/* The line belongs to the statement before it, and says no more than that one. */
static bool is_continuation(struct picker *picker, struct message *message,
                            const struct log_line *line, const struct line_weight *weight,
                            size_t start)
{
	if (message->continues == CONTINUES_NOT)
		return false;
	if (line->length == 0 && message->blanks < BLANKS_MAX) {
		message->blanks++;
		return true;
	}
	bool other = weight->frame || picker->in_traceback || weight->ceiling < WEIGHT_HINT ||
	             line->length == 0;
	bool less = weight->weight <= message->weight && weight->weight < WEIGHT_EXCEPTION;
	bool belongs = !other && (message->continues == CONTINUES || less);
	message->continues = CONTINUES_NOT;
	struct candidate *statement = message->statement;
	if (!belongs || statement == NULL)
		return false;
	statement->next = start;
	if (weight->detail != 0 &&
	    (statement->weight.detail == 0 || weight->detail < statement->weight.detail)) {
		statement->weight.detail = weight->detail;
		statement->weight.detail_rule = weight->detail_rule;
	}
	return true;
}

/* Weighs the line at start as a candidate, in the light of the message before it. */
static void consider(struct picker *picker, struct message *message, struct line_weight *weight,
                     size_t start)
{
	const struct log_line *line = &picker->line;
	if (message->continues != CONTINUES_NOT)
		weigh_status(line, weight);
	if (is_continuation(picker, message, line, weight, start))
		return;
	if (weight->frame || picker->in_traceback || weight->ceiling < WEIGHT_HINT)
		message->lines = 0;
	if (message->lines > 0 && weight->weight < WEIGHT_MESSAGE)
		weight->weight = WEIGHT_MESSAGE;
	message->lines -= message->lines > 0;
	if (weight->weight >= WEIGHT_EXCEPTION)
		message->lines = MESSAGE_LINES;
	message->weight = weight->weight;
	message->blanks = 0;
	message->continues = CONTINUES_NOT;
	message->statement = NULL;
	if (weight->weight < WEIGHT_HINT)
		return;
	weigh_status(line, weight);
	struct candidate candidate = {
	        .offset = start,
	        .index = picker->lines,
	        .hash = hash_line(line),
	        .weight = *weight,
	        .value = weight->weight * (size_t)8 + picker->lines,
	};
	if (weight->weight >= WEIGHT_STATEMENT) {
		candidate.value += SIZE_MAX / 2;
		message->continues = continues(line, weight);
		picker->in_object |= line->text[line->length - 1] == '{';
	}
	message->statement = keep(picker, &candidate);
}

/* Behind the line start..end a Markdown code block goes on: one that is closed, too, since the text
 * may begin in the midst of one. */
static bool is_in_fence(const struct picker *picker, size_t start, size_t end)
{
	if (end - start < 3 || memcmp(picker->tail + start, "```", 3) != 0)
		return picker->in_fence;
	return !picker->in_fence &&
	       memmem(picker->tail + end, picker->length - end, "\n```", 4) != NULL;
}

static void survey(struct picker *picker)
{
	struct message message = {0};
	for (size_t start = 0; start < picker->length; picker->lines++) {
		size_t end = line_end(picker, start);
		struct line_weight weight;
		log_line_read(picker->tail + start, end - start, &picker->line);
		picker->in_quoted = quoted_output_goes_on(&picker->line, picker->in_quoted);
		picker->in_fence = is_in_fence(picker, start, end);
		picker->line.transcript |= picker->in_quoted || picker->in_fence;
		weigh_line(picker->own, &picker->line, &weight);
		weight.frame = weight.frame || is_quoted(picker, end);
		weigh_in_context(picker, &picker->line, &weight);
		consider(picker, &message, &weight, start);
		if (!weight.frame && !picker->in_traceback) {
			picker->last_lines[0] = picker->last_lines[1];
			picker->last_lines[1] = picker->last_lines[2];
			picker->last_lines[2] = start;
			picker->last_count += picker->last_count < 3;
		}
		start = end + 1;
	}
}

/* --- Choosing --- */

static bool starts_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

/*
 * The part of text[0..length) that is shown in room bytes: its beginning, or if that does not reach
 * what was found at focus, a part that begins with a clause before it. *ret_length is its length.
 */
static size_t shown_part(const char *text, size_t length, size_t focus, size_t focus_end,
                         size_t room, size_t *ret_length)
{
	size_t from = 0;
	size_t wanted = focus_end + 40 < length ? focus_end + 40 : length;
	if (wanted > room) {
		from = focus > room / 3 ? focus - room / 3 : 0;
		size_t clause = from;
		while (clause < focus && !(text[clause] == ' ' && clause > 0 &&
		                           strchr(":])},;", text[clause - 1]) != NULL))
			clause++;
		while (clause >= focus && from < focus && text[from] != ' ')
			from++;
		from = clause < focus ? clause + 1 : from;
	}
	while (from < length && !starts_character(text[from]))
		from++;
	size_t end = length - from > room ? from + room : length;
	while (end < length && end > from && !starts_character(text[end]))
		end--;
	*ret_length = end - from;
	return from;
}

/* Reads the line of the candidate, and the one that belongs to it. */
static void read_candidate(struct picker *picker, const struct candidate *candidate)
{
	size_t end = line_end(picker, candidate->offset);
	log_line_read(picker->tail + candidate->offset, end - candidate->offset, &picker->line);
	picker->other.length = 0;
	picker->other.text[0] = '\0';
	if (candidate->next == 0)
		return;
	end = line_end(picker, candidate->next);
	log_line_read(picker->tail + candidate->next, end - candidate->next, &picker->other);
}

/* Appends the candidate's lines, cut to room, to out. */
static void append_lines(struct picker *picker, const struct candidate *candidate, size_t room,
                         struct buffer *out)
{
	size_t length;
	read_candidate(picker, candidate);
	const struct log_line *line = &picker->line;
	size_t from = shown_part(line->text, line->length, candidate->weight.at,
	                         candidate->weight.end, room, &length);
	if (out->length > 0)
		buffer_append_char(out, '\n');
	buffer_append(out, line->text + from, length);
	room -= length;
	if (picker->other.length == 0 || room < 2)
		return;
	shown_part(picker->other.text, picker->other.length, 0, 0, room - 1, &length);
	buffer_append_char(out, '\n');
	buffer_append(out, picker->other.text, length);
}

static size_t distance(size_t a, size_t b)
{
	return a < b ? b - a : a - b;
}

/* How many bytes of the candidate are shown where at most room are left; 0: it is not. */
static size_t shown_length(struct picker *picker, const struct candidate *candidate, size_t most,
                           size_t room)
{
	read_candidate(picker, candidate);
	size_t length = picker->line.length;
	length += picker->other.length > 0 ? picker->other.length + 1 : 0;
	if (length > most)
		length = most;
	if (length > room)
		length = room >= REST_LEAST ? room : 0;
	return length;
}

/* Puts the best of what is left into chosen while it fits, kept in the order of the tail. The
 * first in value is chosen[*ret_best]. */
static size_t choose(struct picker *picker, struct candidate chosen[CHOSEN_MAX],
                     size_t lengths[CHOSEN_MAX], struct snippet *snippet)
{
	size_t count = 0;
	size_t room = SNIPPET_SIZE_MAX;
	size_t statement = 0;
	while (count < CHOSEN_MAX && picker->count > 0) {
		size_t best = 0;
		for (size_t i = 1; i < picker->count; i++)
			if (picker->best[i].value > picker->best[best].value)
				best = i;
		struct candidate candidate = picker->best[best];
		picker->best[best] = picker->best[--picker->count];
		if (count == 0)
			statement = candidate.index;
		if (distance(candidate.index, statement) > NEIGHBOURHOOD)
			continue;
		/* Where the statement gives no detail, the other key lines do, best first. */
		if (snippet->detail == 0 && candidate.weight.weight >= WEIGHT_STATEMENT) {
			snippet->detail = candidate.weight.detail;
			snippet->detail_rule = candidate.weight.detail_rule;
		}
		size_t separator = count > 0;
		size_t left = room > separator ? room - separator : 0;
		size_t length = shown_length(picker, &candidate,
		                             count == 0 ? STATEMENT_SHOWN : LINE_SHOWN, left);
		if (length == 0)
			continue;
		room -= length + separator;
		size_t place = count++;
		for (; place > 0 && chosen[place - 1].offset > candidate.offset; place--) {
			chosen[place] = chosen[place - 1];
			lengths[place] = lengths[place - 1];
		}
		chosen[place] = candidate;
		lengths[place] = length;
	}
	return count;
}

static struct candidate *best_of(struct picker *picker)
{
	struct candidate *best = NULL;
	for (size_t i = 0; i < picker->count; i++)
		if (best == NULL || picker->best[i].value > best->value)
			best = &picker->best[i];
	return best;
}

/* The best, once complaints of long ago are forgotten: the agent lived on after them. */
static const struct candidate *best_of_end(struct picker *picker)
{
	struct candidate *best = best_of(picker);
	while (best != NULL && best->weight.weight < WEIGHT_FATAL &&
	       picker->lines - best->index > NEIGHBOURHOOD) {
		*best = picker->best[--picker->count];
		best = best_of(picker);
	}
	return best;
}

/* Without any candidate, the last lines are the candidates, the very last one the statement. */
static void fall_back(struct picker *picker)
{
	for (size_t i = 3 - picker->last_count; i < 3; i++)
		picker->best[picker->count++] = (struct candidate){
		        .offset = picker->last_lines[i],
		        .index = i,
		        .value = i,
		        .weight = {.rule = RULE_NONE, .detail_rule = RULE_NONE},
		};
}

/* Where the statement begins in its line, as its rule says. */
static size_t statement_start(const struct log_line *line, const struct line_weight *weight)
{
	if (weight->take == RULE_TAKE_FROM)
		return weight->at;
	size_t start = weight->take == RULE_TAKE_AFTER ? weight->end : line->message;
	start += strspn(line->text + start, " ");
	return start < line->length ? start : line->message;
}

static void write_statement(struct picker *picker, const struct candidate *candidate,
                            struct snippet *snippet)
{
	struct buffer statement;
	size_t length;
	read_candidate(picker, candidate);
	const struct log_line *line = &picker->line;
	const struct line_weight *weight = &candidate->weight;
	size_t start = statement_start(line, weight);
	size_t focus = weight->at > start ? weight->at - start : 0;
	size_t end = weight->end > start ? weight->end - start : 0;
	size_t from = shown_part(line->text + start, line->length - start, focus, end,
	                         SNIPPET_SIZE_MAX, &length);
	buffer_init_fixed(&statement, snippet->statement, sizeof snippet->statement);
	buffer_append(&statement, line->text + start + from, length);
	if (picker->other.length > 0 && length + 2 < SNIPPET_SIZE_MAX) {
		size_t next = picker->other.message;
		size_t room = SNIPPET_SIZE_MAX - length - 1;
		shown_part(picker->other.text + next, picker->other.length - next, 0, 0, room,
		           &length);
		buffer_append_char(&statement, ' ');
		buffer_append(&statement, picker->other.text + next, length);
	}
	snippet->statement_length = statement.length;
	snippet->focus = focus > from ? focus - from : 0;
	if (snippet->focus >= statement.length)
		snippet->focus = 0;
}

void snippet_pick(const struct own_rules *own, const char *tail, size_t length,
                  struct snippet *ret_snippet)
{
	/* On the stack: thread-local storage of this size is mapped before main(), and in the pod a
	 * process that is denied mmap(2) would not even start. */
	struct picker picker;
	memset(&picker, 0, sizeof picker);
	picker.own = own;
	picker.tail = tail;
	picker.length = length;
	survey(&picker);
	memset(ret_snippet, 0, sizeof *ret_snippet);
	ret_snippet->rule = ret_snippet->detail_rule = RULE_NONE;
	const struct candidate *best = best_of_end(&picker);
	ret_snippet->found = best != NULL && best->weight.weight >= WEIGHT_STATEMENT;
	if (!ret_snippet->found) {
		picker.count = 0;
		fall_back(&picker);
		best = best_of(&picker);
	}
	if (best == NULL)
		return;
	write_statement(&picker, best, ret_snippet);
	ret_snippet->rule = best->weight.rule;
	struct candidate chosen[CHOSEN_MAX];
	size_t lengths[CHOSEN_MAX];
	struct buffer text;
	size_t count = choose(&picker, chosen, lengths, ret_snippet);
	buffer_init_fixed(&text, ret_snippet->text, sizeof ret_snippet->text);
	for (size_t i = 0; i < count; i++)
		append_lines(&picker, &chosen[i], lengths[i], &text);
	ret_snippet->length = text.length;
}
