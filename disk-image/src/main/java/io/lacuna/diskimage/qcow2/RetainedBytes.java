package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.Deallocation.Retained;
import io.lacuna.blockio.ExtentSet;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Collects free guest bytes that stay, by reason. */
final class RetainedBytes {

    static final String UNALLOCATED = "not allocated in the image";
    static final String HOLE = "already a hole on the host";
    static final String SHORT = "in a free range that is shorter than asked for";
    static final String UNPUNCHABLE = "the host cannot punch holes";
    static final String SMALL = "smaller than a host block";
    static final String COARSE = "smaller than the granularity asked for";
    static final String HOST_SHARED = "shared with another file or snapshot of the host file system";
    static final String OUTSIDE = "behind the end of the virtual disk";
    static final String COMPRESSED = "compressed";
    static final String COMPRESSED_PART = "compressed, and free only in part";
    static final String COMPRESSED_TOGETHER = "compressed, in host clusters that hold other data";
    static final String NO_ZERO = "compressed or shared, and version 2 of the format cannot hide the backing file there";
    static final String EXCESS = "its reference count is higher than the references found";
    static final String FLAG = "its COPIED flag contradicts its reference count ('qemu-img check -r all' repairs that)";
    static final String TWICE = "used at more than one place of the disk";

    private final Map<String, ExtentSet.Builder> reasons = new LinkedHashMap<>();

    void add(String why, long guest, long length) {
        reasons.computeIfAbsent(why, reason -> ExtentSet.builder()).add(guest, length);
    }

    void addAll(String why, ExtentSet bytes) {
        if (!bytes.isEmpty()) {
            reasons.computeIfAbsent(why, reason -> ExtentSet.builder()).addAll(bytes);
        }
    }

    List<Retained> list() {
        List<Retained> list = new ArrayList<>();
        reasons.forEach((why, bytes) -> {
            ExtentSet set = bytes.build();
            if (!set.isEmpty()) {
                list.add(new Retained(why, set));
            }
        });
        return List.copyOf(list);
    }
}
