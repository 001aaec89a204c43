#include "watchdog/protocol.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(struct message) == 152, "no padding: the record is the same in every build");

struct message message_make(enum message_type type)
{
	return (struct message){.magic = PROTOCOL_MAGIC,
	                        .layout = PROTOCOL_LAYOUT,
	                        .type = (uint16_t)type,
	                        .version = PROTOCOL_VERSION};
}

static bool name_is_text(const char *name)
{
	const char *end = memchr(name, '\0', CONTAINER_NAME_MAX + 1);
	if (end == NULL)
		return false;
	for (const char *p = name; p < end; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	return true;
}

bool message_decode(const void *bytes, size_t length, struct message *ret_message,
                    struct error *error)
{
	struct message message;
	if (length < sizeof message)
		return error_set(error, "expected %zu bytes, got %zu", sizeof message, length);
	memcpy(&message, bytes, sizeof message);
	if (message.magic != PROTOCOL_MAGIC || message.layout != PROTOCOL_LAYOUT)
		return error_set(error, "not a message of this protocol");
	if (message.type < MESSAGE_HELLO || message.type > MESSAGE_TYPE_MAX)
		return error_set(error, "unknown type %u", message.type);
	if (!name_is_text(message.name))
		return error_set(error, "the name is no text");
	*ret_message = message;
	return true;
}

void protocol_address(const char *name, struct sockaddr_un *ret_address, socklen_t *ret_length)
{
	memset(ret_address, 0, sizeof *ret_address);
	ret_address->sun_family = AF_UNIX;
	size_t length = strnlen(name, sizeof ret_address->sun_path - 1);
	memcpy(ret_address->sun_path + 1, name, length);
	*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

/* Room for one file descriptor, aligned. */
union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

bool message_send(int socket, const struct message *message, const void *extra, size_t extra_length,
                  int fd)
{
	struct iovec parts[2] = {
	        {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof *message},
	        {.iov_base = (void *)(uintptr_t)extra, .iov_len = extra_length},
	};
	union control control = {{0}};
	struct msghdr header = {.msg_iov = parts, .msg_iovlen = extra_length > 0 ? 2 : 1};
	if (fd >= 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof control.bytes;
		struct cmsghdr *item = CMSG_FIRSTHDR(&header);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(item), &fd, sizeof fd);
	}
	return sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* The first descriptor that came with a message, -1 for none; the others are closed. The control
 * buffer has room for one header, which may carry more than one descriptor. */
static int received_fd(struct msghdr *header)
{
	int first = -1;
	const struct cmsghdr *item = CMSG_FIRSTHDR(header);
	if (item == NULL || item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
		return -1;
	size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < count; i++) {
		int fd;
		memcpy(&fd, CMSG_DATA(item) + i * sizeof fd, sizeof fd);
		if (first < 0)
			first = fd;
		else
			close(fd);
	}
	return first;
}

enum received message_receive(int socket, struct message *ret_message, char *extra, size_t capacity,
                              size_t *ret_extra_length, int *ret_fd)
{
	struct message raw;
	union control control;
	struct iovec parts[2] = {{.iov_base = &raw, .iov_len = sizeof raw},
	                         {.iov_base = extra, .iov_len = capacity}};
	struct msghdr header = {.msg_iov = parts, .msg_iovlen = capacity > 0 ? 2 : 1};
	/* Without a control buffer the kernel drops descriptors that come along. Closing one that a
	 * stranger sent may take as long as the stranger likes (FUSE). */
	if (ret_fd != NULL) {
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof control.bytes;
	}
	ssize_t got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	/* The other end closed without reading all: the kernel reports that once, before what it
	 * had still sent. */
	if (got < 0 && errno == ECONNRESET)
		got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return RECEIVED_NOTHING;
	if (got < 0)
		return RECEIVED_END;

	int fd = ret_fd != NULL ? received_fd(&header) : -1;
	size_t length = (size_t)got;
	bool good = message_decode(&raw, length, ret_message, NULL);
	if (fd >= 0 && !good)
		close(fd);
	if (length == 0) /* an empty message looks the same */
		return RECEIVED_END;
	if (!good)
		return RECEIVED_GARBAGE;
	if (ret_extra_length != NULL)
		*ret_extra_length = length > sizeof raw ? length - sizeof raw : 0;
	if (ret_fd != NULL)
		*ret_fd = fd;
	return RECEIVED_MESSAGE;
}
