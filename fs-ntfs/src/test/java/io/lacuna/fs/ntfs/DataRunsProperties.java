package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.fs.ntfs.NtfsRecords.Run;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

class DataRunsProperties {

    private static final long VOLUME = 1L << 40;

    @Provide
    Arbitrary<List<Run>> runs() {
        Arbitrary<Long> lcn = Arbitraries.oneOf(Arbitraries.longs().between(0, VOLUME - (1L << 32)),
                Arbitraries.longs().between(0, 300), Arbitraries.just(-1L));
        Arbitrary<Long> length = Arbitraries.oneOf(Arbitraries.longs().between(1, 300),
                Arbitraries.longs().between(1, 1L << 32));
        return Combinators.combine(lcn, length).as(Run::new).list().ofMaxSize(50);
    }

    /** Joins what the reader joins: sparse runs, and runs that follow each other on the volume. */
    private static List<Run> joined(List<Run> runs) {
        List<Run> joined = new ArrayList<>();
        for (Run run : runs) {
            Run last = joined.isEmpty() ? null : joined.get(joined.size() - 1);
            if (last != null && (run.lcn() < 0 ? last.lcn() < 0 : last.lcn() >= 0 && last.lcn() + last.length() == run.lcn())) {
                joined.set(joined.size() - 1, new Run(last.lcn(), last.length() + run.length()));
            } else {
                joined.add(run);
            }
        }
        return joined;
    }

    @Property(tries = 500)
    void decodesWhatIsEncoded(@ForAll("runs") List<Run> runs) throws DiskFormatException {
        long end = runs.stream().mapToLong(Run::length).sum();
        RunList.Builder builder = new RunList.Builder();
        DataRuns.decode(Bytes.littleEndian(ByteBuffer.wrap(NtfsRecords.pairs(runs)), 0), end, VOLUME, builder);
        RunList decoded = builder.build();

        assertEquals(joined(runs), listOf(decoded));
        assertEquals(end, decoded.clusterCount());
        long vcn = 0;
        for (int i = 0; i < decoded.count(); i++) {
            assertEquals(vcn, decoded.vcn(i));
            assertEquals(i, decoded.indexOf(vcn));
            assertEquals(i, decoded.indexOf(vcn + decoded.length(i) - 1));
            vcn += decoded.length(i);
        }
    }

    private static List<Run> listOf(RunList runs) {
        List<Run> list = new ArrayList<>();
        for (int i = 0; i < runs.count(); i++) {
            list.add(new Run(runs.lcn(i), runs.length(i)));
        }
        return list;
    }

    /** Whatever the bytes are, the runs lie in the volume and cover what they should, or there are none. */
    @Property(tries = 2000)
    void anyBytesAreRunsInsideTheVolumeOrAnError(@ForAll byte[] pairs, @ForAll long end, @ForAll long volume) {
        long endVcn = end & (1L << 42) - 1;
        long clusters = (volume & Long.MAX_VALUE >> 21) + 1;
        RunList.Builder builder = new RunList.Builder();
        try {
            DataRuns.decode(Bytes.littleEndian(ByteBuffer.wrap(pairs), 0), endVcn, clusters, builder);
        } catch (CorruptException expected) {
            return;
        } catch (DiskFormatException e) {
            throw new AssertionError(e);
        }
        RunList runs = builder.build();
        assertEquals(endVcn, runs.clusterCount());
        for (Run run : listOf(runs)) {
            assertTrue(run.length() > 0 && (run.lcn() == RunList.SPARSE
                    || run.lcn() >= 0 && run.lcn() <= clusters - run.length()), run.toString());
        }
    }
}
