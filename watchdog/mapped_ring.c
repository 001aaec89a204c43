#include "watchdog/mapped_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* false with errno. */
static bool allocate_and_seal(int fd, size_t size)
{
	int number = posix_fallocate(fd, 0, (off_t)size);
	if (number != 0) {
		errno = number;
		return false;
	}
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
}

static bool map_ring(int fd, size_t size, int flags, struct mapped_ring *ret_ring,
                     struct error *error)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (map == MAP_FAILED)
		return error_set_errno(error, errno, "mapping %zu bytes", size);
	*ret_ring =
	        (struct mapped_ring){.ring = ring_format(map, size), .map = map, .map_size = size};
	return true;
}

bool mapped_ring_create_shared(size_t size, struct mapped_ring *ret_ring, int *ret_fd,
                               struct error *error)
{
	size_t whole = ring_memory_size(size);
	int fd = memfd_create("lastword", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return error_set_errno(error, errno, "memfd_create");
	if (!allocate_and_seal(fd, whole)) {
		error_set_errno(error, errno, "allocating a memfd of %zu bytes", whole);
		close(fd);
		return false;
	}
	if (!map_ring(fd, whole, MAP_SHARED, ret_ring, error)) {
		close(fd);
		return false;
	}
	*ret_fd = fd;
	return true;
}

bool mapped_ring_create_private(size_t size, struct mapped_ring *ret_ring, struct error *error)
{
	return map_ring(-1, ring_memory_size(size), MAP_PRIVATE | MAP_ANONYMOUS, ret_ring, error);
}

void mapped_ring_free(struct mapped_ring *ring)
{
	if (ring->map == NULL)
		return;
	/* While any process keeps the memfd, its pages stay charged to the watchdog. */
	madvise(ring->map, ring->map_size, MADV_REMOVE);
	munmap(ring->map, ring->map_size);
	*ring = (struct mapped_ring){0};
}
