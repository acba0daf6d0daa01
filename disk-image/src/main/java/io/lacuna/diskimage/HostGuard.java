package io.lacuna.diskimage;

import io.lacuna.diskimage.DiskImages.Access;
import java.io.IOException;
import java.util.List;

/** Everything that keeps an image from being changed by two at once, in its order: locks, users, saved memory. */
record HostGuard() {

    static HostGuard standard() {
        return new HostGuard();
    }

    /** @return remarks */
    List<String> check(NativeFile file, Access access) throws IOException {
        return lock(file, access);
    }

    List<String> lock(NativeFile file, Access access) throws IOException {
        return List.of();
    }
}
