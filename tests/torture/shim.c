// Loaded into the server under test with LD_PRELOAD: makes its disk slow and its wall clock wrong, as the driver (cage.py) says while
// the server runs. TORTURE_SHIM names a file with three native 64-bit numbers, which is mapped:
//
//   [0] nanoseconds that the wall clock is ahead (negative: behind)
//   [1] microseconds that each write to a file takes longer
//   [2] microseconds that each sync takes longer
//
// Sockets, pipes and the monotonic clock are left alone. Without the variable nothing changes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { kClockAhead, kWriteDelay, kSyncDelay, kNumbers };

static volatile int64_t nothing[kNumbers];
static volatile int64_t *orders = nothing;

__attribute__((constructor)) static void follow_orders(void) {
    const char *path = getenv("TORTURE_SHIM");
    if (path == NULL) return;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    void *mapped = mmap(NULL, kNumbers * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) orders = mapped;
}

// Keeps errno: the call that follows, or was made before, is the one whose error counts.
static void delay(int64_t us) {
    if (us <= 0) return;
    const int kept = errno;
    const struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&time, NULL);
    errno = kept;
}

static void delay_write(int fd) {
    if (orders[kWriteDelay] <= 0) return;
    struct stat facts;
    if (fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode)) delay(orders[kWriteDelay]);
}

// The function that this one stands before.
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t count) {
    delay_write(fd);
    return NEXT(write)(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    delay_write(fd);
    return NEXT(writev)(fd, pieces, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    delay_write(fd);
    return NEXT(pwrite)(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    delay_write(fd);
    return NEXT(pwrite64)(fd, bytes, count, offset);
}

int fsync(int fd) {
    delay(orders[kSyncDelay]);
    return NEXT(fsync)(fd);
}

int fdatasync(int fd) {
    delay(orders[kSyncDelay]);
    return NEXT(fdatasync)(fd);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*next)(clockid_t, struct timespec *);
    if (next == NULL) next = NEXT(clock_gettime);
    const int rc = next(clock, time);
    if (rc != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return rc;
    const int64_t ns = time->tv_sec * 1000000000LL + time->tv_nsec + orders[kClockAhead];
    time->tv_sec = ns / 1000000000;
    time->tv_nsec = ns % 1000000000;
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    if (where != NULL) *where = now.tv_sec;
    return now.tv_sec;
}
