#include "registry/fault_vfs.h"

#include <sqlite3.h>

#include <new>

namespace engram {

// SQLite takes the address of the first member for its own struct, and gives it back to each call.
struct FaultVfs::Shim {
    sqlite3_vfs vfs{};
    sqlite3_vfs *real = nullptr;
    int operations_left = -1;  // negative: nothing fails
    int code = SQLITE_OK;
    bool failed = false;

    int next_operation() {
        if (operations_left < 0) return SQLITE_OK;
        if (operations_left > 0) {
            --operations_left;
            return SQLITE_OK;
        }
        failed = true;
        return code;
    }
};

namespace {

template <typename Shim>
struct File {
    sqlite3_file base;
    Shim *shim;
    sqlite3_file *real() { return reinterpret_cast<sqlite3_file *>(this + 1); }  // follows in the same allocation
};

template <typename Shim>
struct Methods {
    static File<Shim> *own(sqlite3_file *file) { return reinterpret_cast<File<Shim> *>(file); }
    static sqlite3_file *real(sqlite3_file *file) { return own(file)->real(); }
    static int close(sqlite3_file *f) { return real(f)->pMethods->xClose(real(f)); }
    static int read(sqlite3_file *f, void *to, int n, sqlite3_int64 at) { return real(f)->pMethods->xRead(real(f), to, n, at); }
    static int write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at) {
        const int fault = own(f)->shim->next_operation();
        return fault != SQLITE_OK ? fault : real(f)->pMethods->xWrite(real(f), from, n, at);
    }
    static int truncate(sqlite3_file *f, sqlite3_int64 size) {
        const int fault = own(f)->shim->next_operation();
        return fault != SQLITE_OK ? fault : real(f)->pMethods->xTruncate(real(f), size);
    }
    static int sync(sqlite3_file *f, int flags) {
        const int fault = own(f)->shim->next_operation();
        return fault != SQLITE_OK ? fault : real(f)->pMethods->xSync(real(f), flags);
    }
    static int file_size(sqlite3_file *f, sqlite3_int64 *size) { return real(f)->pMethods->xFileSize(real(f), size); }
    static int lock(sqlite3_file *f, int level) { return real(f)->pMethods->xLock(real(f), level); }
    static int unlock(sqlite3_file *f, int level) { return real(f)->pMethods->xUnlock(real(f), level); }
    static int check_lock(sqlite3_file *f, int *out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); }
    static int control(sqlite3_file *f, int op, void *arg) { return real(f)->pMethods->xFileControl(real(f), op, arg); }
    static int sector(sqlite3_file *f) { return real(f)->pMethods->xSectorSize(real(f)); }
    static int device(sqlite3_file *f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); }
    static int map(sqlite3_file *f, int page, int size, int extend, void volatile **out) {
        return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
    }
    static int shm_lock(sqlite3_file *f, int offset, int n, int flags) {
        return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
    }
    static void barrier(sqlite3_file *f) { real(f)->pMethods->xShmBarrier(real(f)); }
    static int unmap(sqlite3_file *f, int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); }

    static int open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags) {
        static const sqlite3_io_methods kMethods = {.iVersion = 2,
                                                    .xClose = close,
                                                    .xRead = read,
                                                    .xWrite = write,
                                                    .xTruncate = truncate,
                                                    .xSync = sync,
                                                    .xFileSize = file_size,
                                                    .xLock = lock,
                                                    .xUnlock = unlock,
                                                    .xCheckReservedLock = check_lock,
                                                    .xFileControl = control,
                                                    .xSectorSize = sector,
                                                    .xDeviceCharacteristics = device,
                                                    .xShmMap = map,
                                                    .xShmLock = shm_lock,
                                                    .xShmBarrier = barrier,
                                                    .xShmUnmap = unmap};
        auto *shim = reinterpret_cast<Shim *>(vfs);
        auto *opened = new (file) File<Shim>{.base = {}, .shim = shim};
        const int code = shim->real->xOpen(shim->real, name, opened->real(), flags, out_flags);
        if (opened->real()->pMethods != nullptr) opened->base.pMethods = &kMethods;
        return code;
    }
};

}  // namespace

FaultVfs::FaultVfs() : shim_(std::make_unique<Shim>()) {
    shim_->real = sqlite3_vfs_find(nullptr);
    shim_->vfs = *shim_->real;
    shim_->vfs.zName = "engram-fault";
    shim_->vfs.pNext = nullptr;
    shim_->vfs.szOsFile = shim_->real->szOsFile + static_cast<int>(sizeof(File<Shim>));
    shim_->vfs.xOpen = Methods<Shim>::open;
    sqlite3_vfs_register(&shim_->vfs, 1);
}

FaultVfs::~FaultVfs() {
    sqlite3_vfs_unregister(&shim_->vfs);
    sqlite3_vfs_register(shim_->real, 1);
}

void FaultVfs::fail_after(int operations, int code) {
    shim_->operations_left = operations;
    shim_->code = code;
    shim_->failed = false;
}

void FaultVfs::heal() { shim_->operations_left = -1; }

bool FaultVfs::has_failed() const { return shim_->failed; }

}  // namespace engram
