package io.lacuna.diskimage.block;

import io.lacuna.blockio.ExtentSet;
import java.util.Arrays;
import java.util.List;

/** Collects blocks: their guest ranges, and all that is theirs in each file. */
final class WholeBlocks {

    private final ExtentSet.Builder guest = ExtentSet.builder();
    private final ExtentSet.Builder[] hosts;

    WholeBlocks(int files) {
        hosts = new ExtentSet.Builder[files];
    }

    void add(long guestOffset, long guestLength, int file, long hostOffset, long hostLength) {
        guest.add(guestOffset, guestLength);
        if (hosts[file] == null) {
            hosts[file] = ExtentSet.builder();
        }
        hosts[file].add(hostOffset, hostLength);
    }

    ExtentSet guest() {
        return guest.build();
    }

    /** @return for each file */
    List<ExtentSet> hosts() {
        return Arrays.stream(hosts).map(host -> host == null ? ExtentSet.EMPTY : host.build()).toList();
    }
}
