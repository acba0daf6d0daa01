package io.lacuna.partition;

import java.util.ArrayList;
import java.util.List;

/** What a scan has found so far; each name once, where it was met first. */
final class Signatures {

    private final VolumeBytes bytes;
    private final List<VolumeSignature> found = new ArrayList<>();

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
        if (found.stream().noneMatch(other -> other.name().equals(signature.name()))) {
            found.add(signature);
        }
    }

    List<VolumeSignature> list() {
        return List.copyOf(found);
    }
}
