package io.lacuna.partition;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** What a scan has found so far; each name once, where it was met first, and all places. */
final class Signatures {

    private final VolumeBytes bytes;
    private final List<VolumeSignature> found = new ArrayList<>();
    private final Set<Long> places = new HashSet<>();

    Signatures(VolumeBytes bytes) {
        this.bytes = bytes;
    }

    VolumeBytes bytes() {
        return bytes;
    }

    void add(String name, String description, long offset, int length) {
        add(new VolumeSignature(name, description, VolumeSignature.Kind.OTHER, offset, length, bytes.size()));
    }

    void add(VolumeSignature signature) {
        places.add(signature.offset());
        if (found.stream().noneMatch(other -> other.name().equals(signature.name()))) {
            found.add(signature);
        }
    }

    Set<Long> places() {
        return Set.copyOf(places);
    }

    List<VolumeSignature> list() {
        return List.copyOf(found);
    }
}
