/*
 * protocol: the messages between shim, flush and watchdog. PROTOCOL.md has the states of both ends,
 * who waits for whom, and what each crash leaves.
 *
 * Each message is one datagram on an abstract SOCK_SEQPACKET socket: a fixed record in the byte
 * order of the machine (both ends run on the same kernel), behind which MESSAGE_TAIL carries bytes.
 * Fields that a type does not use are zero. Whatever is received is untrusted: message_decode()
 * checks it, and names are terminated and printable.
 *
 * Thread safety: no state but the arguments.
 */
#ifndef LASTWORD_WATCHDOG_PROTOCOL_H
#define LASTWORD_WATCHDOG_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/base/error.h"

#define PROTOCOL_SOCKET "lastword" /* in the abstract namespace, without the leading NUL */
#define PROTOCOL_MAGIC  UINT32_C(0x31775761) /* "aWw1" */

/*
 * Version 2 has the record of version 1; what changed is that the watchdog closes the connection
 * instead of sending an answer that carries nothing. Each end understands one of the other version
 * (PROTOCOL.md, "Versions"), so a record says which layout it has and which version sent it.
 */
#define PROTOCOL_LAYOUT  1
#define PROTOCOL_VERSION 2

/* The most that a container's name may have: a DNS label. */
#define CONTAINER_NAME_MAX 63

/* Bytes of output that one MESSAGE_TAIL may carry. */
#define TAIL_MAX ((size_t)32 * 1024)

enum message_type {
	MESSAGE_HELLO = 1,       /* shim: name, pid, started_at, duration so far, signal as below */
	MESSAGE_WELCOME = 2,     /* watchdog: the ring's memfd comes with it */
	MESSAGE_REFUSED = 3,     /* watchdog of version 1: no such container, or it has a shim */
	MESSAGE_TERMINATING = 4, /* shim: it received signal, which asks it to terminate */
	MESSAGE_SILENT = 5,      /* shim: no output for duration */
	MESSAGE_DEADLINE = 6,    /* shim: it has run for duration, its deadline */
	MESSAGE_TAIL = 7,     /* shim without a shared ring: the newest output, total counts all */
	MESSAGE_EXIT = 8,     /* shim: the command has ended; all fields below */
	MESSAGE_ACK = 9,      /* watchdog of version 1: the report of EXIT or FLUSH is printed */
	MESSAGE_FLUSH = 10,   /* flush: print a report of what the ring of name holds */
	MESSAGE_LEAVING = 11, /* shim: it could not start the command and executes it directly */
	MESSAGE_TYPE_MAX = MESSAGE_LEAVING
};

struct message {
	uint32_t magic;
	uint16_t layout; /* PROTOCOL_LAYOUT */
	uint16_t type;
	char name[CONTAINER_NAME_MAX + 1];
	int32_t pid;          /* as the sender's PID namespace counts */
	int32_t ended;        /* enum ended of lib/diagnosis/classify.h */
	int32_t exit_code;    /* what the shim exits with */
	int32_t signal;       /* the one that ended the command, or was received */
	int32_t killed_by_us; /* enum killed_by_us */
	int32_t version;      /* PROTOCOL_VERSION of the sender; 0: 1, which did not set it */
	int64_t started_at;   /* nanoseconds since 1970 */
	int64_t finished_at;  /* nanoseconds since 1970 */
	int64_t duration;     /* nanoseconds, of the monotonic clock */
	int64_t max_rss;      /* bytes; -1: unknown */
	int64_t cpu;          /* nanoseconds, user and system; -1: unknown */
	int64_t oom_kills;    /* how much the cgroup's count grew; -1: unknown */
	uint64_t total;       /* bytes of output so far */
};

/* A message of that type; the other fields are zero. */
struct message message_make(enum message_type type);

/* Checks a received datagram: length, magic, version, type, name. false: error tells what is wrong.
 */
bool message_decode(const void *bytes, size_t length, struct message *ret_message,
                    struct error *error);

/* The address of an abstract socket; name is cut where it does not fit. */
void protocol_address(const char *name, struct sockaddr_un *ret_address, socklen_t *ret_length);

/*
 * Sends without waiting; extra bytes may follow the record, fd (-1: none) is sent along. false,
 * with errno: it was not sent (EAGAIN: the receive queue is full).
 */
bool message_send(int socket, const struct message *message, const void *extra, size_t extra_length,
                  int fd);

enum received { RECEIVED_MESSAGE, RECEIVED_NOTHING, RECEIVED_END, RECEIVED_GARBAGE };

/*
 * Receives one message without waiting. extra (capacity bytes) takes what follows the record. If
 * ret_fd is not NULL, a descriptor that was sent along is stored there (-1: none; CLOEXEC, the
 * caller closes it); else descriptors are not received. GARBAGE: message_decode() rejected the
 * message. END: the other end has closed, or the socket failed.
 */
enum received message_receive(int socket, struct message *ret_message, char *extra, size_t capacity,
                              size_t *ret_extra_length, int *ret_fd);

#endif
