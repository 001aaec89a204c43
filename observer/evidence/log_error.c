#include "observer/evidence/log_error.h"

#include <stdbool.h>
#include <string.h>

#include "lib/base/ascii.h"

/* A line is longer only when it is no error: paths have at most 4096 bytes. */
#define ERROR_MAX ((size_t)8 * 1024)
#define ID_LENGTH ((size_t)64)

/* What must follow the words for the text to be the kubelet's. */
enum proof {
	PROOF_NOTHING,  /* the words say enough, at the beginning of an unfinished line */
	PROOF_END,      /* and the text ends there */
	PROOF_ID,       /* a runtime's name, "://" and the container's ID */
	PROOF_LOG_PATH, /* the quoted, absolute path of a log, and what failed: "/…": … */
	PROOF_RUNTIME   /* a gRPC status that a container runtime gives: see runtime_errors */
};

struct error_text {
	const char *words;
	enum proof proof;
};

/*
 * k/k is kubernetes/kubernetes; where nothing else is said 1.20 and 1.36 have the same text. The
 * readers of logs are pkg/kubelet/kuberuntime/logs/logs.go, from 1.30 on
 * staging/src/k8s.io/cri-client/pkg/logs/logs.go.
 */
static const struct error_text error_texts[] = {
        /* k/k pkg/kubelet/kuberuntime/kuberuntime_container.go, GetContainerLogs: the runtime
         * does not know the container any more. */
        {"unable to retrieve container logs for ", PROOF_ID},
        /* k/k logs.go, ReadLogs: the log went with its pod. */
        {"failed to try resolving symlinks in path ", PROOF_LOG_PATH},
        /* ReadLogs: at the beginning, and when a rotated log is opened again. */
        {"failed to open log file ", PROOF_LOG_PATH},
        {"failed to tail ", PROOF_LOG_PATH}, /* N lines of log file "…" */
        {"failed to seek ", PROOF_LOG_PATH}, /* N in log file "…" */
        {"failed to read log file ", PROOF_LOG_PATH},
        {"failed to reset seek in log file ", PROOF_LOG_PATH},
        /* ReadLogs, following: the node is short of inotify instances or watches. */
        {"failed to create fsnotify watcher: ", PROOF_NOTHING},
        {"failed to watch directory ", PROOF_NOTHING}, /* 1.22 and later */
        {"failed to watch file ", PROOF_NOTHING},      /* before */
        /* ReadLogs, getParseFunc: the first line is neither CRI's nor Docker's. */
        {"failed to get parse function: unsupported log format: ", PROOF_NOTHING},
        /* waitLogs, following: inotify's own errors, after five tries (fsnotify.go,
         * ErrEventOverflow, before and from 1.6 on). */
        {"fsnotify queue overflow", PROOF_END},
        {"fsnotify: queue or buffer overflow", PROOF_END},
        {"context cancelled", PROOF_END},
        /* isContainerRunning, following: the runtime's own words for the container's status. */
        {"rpc error: code = ", PROOF_RUNTIME},
        /* The same, cri-client/pkg/remote_runtime.go and utils.go (verifyContainerStatus). */
        {"container status is nil", PROOF_END},
        {"status.Id is not set", PROOF_END},
        {"status.Metadata is not set", PROOF_END},
        {"status.CreatedAt is not set", PROOF_END},
        {"status.Image is not set", PROOF_END},
        {"status.ImageRef is not set", PROOF_END},
        {"metadata.Name is not in metadata ", PROOF_NOTHING},
        /* k/k pkg/kubelet/dockershim/docker_legacy_service.go (until 1.23), where Docker's log
         * driver is not json-file: the client's errors and those in Docker's stream. */
        {"Error: No such container: ", PROOF_ID},
        {"Error response from daemon: ", PROOF_NOTHING},
        {"error from daemon in stream: ", PROOF_NOTHING},
        {"Error grabbing logs: ", PROOF_NOTHING},
        {"Unrecognized input header: ", PROOF_NOTHING},
        {"operation timeout: context ", PROOF_NOTHING},
        /* In neither source; said to come from other kubelets for a container that has ended. */
        {"can't follow", PROOF_NOTHING},
};

/* How the description of such a gRPC error begins, where it has no container ID in it. */
static const char *const runtime_errors[] = {
        "an error occurred when try to find container ", /* containerd, container_status.go */
        "could not find container ",                     /* CRI-O, container_status.go */
        "Error: No such container: ",                    /* dockershim */
        "server is not initialized yet",                 /* containerd, while it starts */
        "unknown service runtime.v1",                    /* gRPC, a runtime without its CRI */
        "context deadline exceeded",                     /* the kubelet's own timeout, 2 min */
        "context canceled",
        /* The runtime restarts; from 1.25 on that counts as running. */
        "transport is closing",
        "error reading from server: ",
        "connection error: desc = \"transport: Error while dialing dial unix ",
        "connection error: desc = \"transport: Error while dialing: dial unix ",
};

static const char *find(const char *text, size_t length, const char *words)
{
	return memmem(text, length, words, strlen(words));
}

static bool begins(const char *text, size_t length, const char *words)
{
	size_t needed = strlen(words);
	return length >= needed && memcmp(text, words, needed) == 0;
}

/* A word of exactly 64 hexadecimal digits, and not the digest of an image (sha256:…). */
static bool has_container_id(const char *text, size_t length)
{
	for (size_t i = 0; i < length;) {
		size_t start = i;
		while (i < length && ascii_is_alnum(text[i]))
			i++;
		size_t digits = start;
		while (digits < i && ascii_hex_value(text[digits]) >= 0)
			digits++;
		if (digits == i && i - start == ID_LENGTH && (start == 0 || text[start - 1] != ':'))
			return true;
		i += i == start;
	}
	return false;
}

/* "/…": and a word of what failed. *ret_on_node: it is where a kubelet or Docker keeps the logs of
 * containers. */
static bool has_log_path(const char *text, size_t length, bool *ret_on_node)
{
	const char *path = find(text, length, "\"/");
	if (path == NULL)
		return false;
	size_t left = length - (size_t)(path + 1 - text);
	const char *end = find(path + 1, left, "\": ");
	if (end == NULL)
		return false;
	size_t path_length = (size_t)(end - path);
	*ret_on_node =
	        find(path, path_length, "/pods/") != NULL || has_container_id(path, path_length);
	return true;
}

static bool is_runtime_error(const char *text, size_t length)
{
	static const char marker[] = " desc = ";
	const char *description = find(text, length, marker);
	if (description == NULL)
		return false;
	description += sizeof marker - 1;
	length -= (size_t)(description - text);
	for (size_t i = 0; i < sizeof runtime_errors / sizeof runtime_errors[0]; i++)
		if (begins(description, length, runtime_errors[i]))
			return true;
	return find(description, length, "container") != NULL &&
	       has_container_id(description, length);
}

/* The text is that error. *ret_certain: nobody else prints it, wherever it stands. */
static bool is_error(const struct error_text *error, const char *text, size_t length,
                     bool *ret_certain)
{
	*ret_certain = false;
	if (!begins(text, length, error->words))
		return false;
	size_t words = strlen(error->words);
	const char *rest = text + words;
	length -= words;
	switch (error->proof) {
	case PROOF_NOTHING:
		return true;
	case PROOF_END:
		return length == 0;
	case PROOF_ID:
		*ret_certain = has_container_id(rest, length);
		return *ret_certain || find(rest, length, "://") != NULL;
	case PROOF_LOG_PATH:
		return has_log_path(rest, length, ret_certain);
	case PROOF_RUNTIME:
		if (!is_runtime_error(rest, length))
			return false;
		*ret_certain =
		        find(rest, length, "container") != NULL && has_container_id(rest, length);
		return true;
	}
	return false;
}

/* An error behind something else in the same line. */
static size_t find_within(const char *line, size_t length)
{
	size_t count = sizeof error_texts / sizeof error_texts[0];
	for (size_t i = 0; i < count; i++) {
		const char *at = find(line, length, error_texts[i].words);
		bool certain;
		if (at == NULL)
			continue;
		size_t before = (size_t)(at - line);
		if (is_error(&error_texts[i], at, length - before, &certain) && certain)
			return before;
	}
	return length;
}

size_t log_error_find(const char *body, size_t length)
{
	size_t count = sizeof error_texts / sizeof error_texts[0];
	size_t end = length;
	bool finished = length > 0 && body[length - 1] == '\n';
	if (finished)
		end--;
	const char *line_end = end == 0 ? NULL : memrchr(body, '\n', end);
	size_t start = line_end == NULL ? 0 : (size_t)(line_end + 1 - body);
	if ((finished && start > 0) || end == start || end - start > ERROR_MAX)
		return length;
	const char *line = body + start;
	for (size_t i = 0; i < count; i++) {
		bool certain;
		if (is_error(&error_texts[i], line, end - start, &certain) &&
		    (certain || !finished))
			return start;
	}
	size_t within = finished ? end - start : find_within(line, end - start);
	return within == end - start ? length : start + within;
}
