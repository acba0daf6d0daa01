package io.lacuna.fs.ntfs;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** $MFT: finds file records by number, and puts the streams of a file together from all the records it is in. */
final class MasterFileTable {

    /** Ours: as much of it is announced to the host; behind that it reads ahead on its own. */
    private static final long ANNOUNCED = 64 << 20;

    private final BlockSource volume;
    private final NtfsBootSector boot;
    private final Map<Long, FileRecord> systemRecords = new HashMap<>();
    /** The record read last: the pieces of a stream often share one. */
    private FileRecord latest;
    /** The list read last, and whose it is: a file has one, and may have many attributes. */
    private AttributeList latestList;
    private FileRecord latestListOwner;
    private NtfsStream data;

    private MasterFileTable(BlockSource volume, NtfsBootSector boot) {
        this.volume = volume;
        this.boot = boot;
    }

    /** Reads the first record, and by it where all the others are. */
    static MasterFileTable open(BlockSource volume, NtfsBootSector boot) throws IOException {
        MasterFileTable mft = new MasterFileTable(volume, boot);
        long position = boot.mftCluster() * boot.clusterSize();
        // The system files' records nearly always follow each other; the ones that do not are read one by one later.
        int length = (int) Math.min((long) FileRecord.SYSTEM_RECORDS * boot.recordSize(), boot.length() - position);
        if (length < boot.recordSize()) {
            throw new CorruptException("MFT record 0", position, "a whole record", "the end of the file system");
        }
        ByteBuffer head = ByteBuffer.allocate(length);
        volume.read(position, head);
        FileRecord first = FileRecord.parse(head.slice(0, boot.recordSize()), 0, position);
        mft.systemRecords.put(0L, first);
        mft.data = mft.bootstrap(first);
        if (mft.data.position(0) != position) {
            throw new CorruptException("$MFT: its first byte", position, "the same as in the boot sector",
                    NtfsBootSector.hex(mft.data.position(0)));
        }
        for (int number = 1; number < FileRecord.SYSTEM_RECORDS; number++) {
            int at = number * boot.recordSize();
            if (at + boot.recordSize() <= Math.min(length, mft.data.runs().length(0) * boot.clusterSize())) {
                mft.preload(number, head.slice(at, boot.recordSize()), position + at);
            }
        }
        return mft;
    }

    /** Says that all of it will be read soon. */
    void prefetch() {
        data.prefetch(Math.min(Math.min(data.validSize(), data.dataSize()), ANNOUNCED));
    }

    /** A record that cannot be parsed is reported when it is asked for. */
    private void preload(long number, ByteBuffer record, long position) {
        try {
            systemRecords.put(number, FileRecord.parse(record, number, position));
        } catch (CorruptException reportedByRecord) {
            systemRecords.remove(number);
        }
    }

    /** The MFT's own runs: where they go on in other records, each of these lies in what the runs before it cover. */
    private NtfsStream bootstrap(FileRecord first) throws IOException {
        Optional<Attribute> own = first.attribute(Attribute.DATA, "");
        if (own.isEmpty() || own.get().isResident() || own.get().mapping().firstVcn() != 0) {
            throw new CorruptException(first.describe() + ": data", first.bytes().position(0), "its first data runs", "none");
        }
        RunList.Builder runs = new RunList.Builder();
        append(own.get().mapping(), runs);
        data = stream("$MFT", own.get(), runs.build());
        if (first.attribute(Attribute.ATTRIBUTE_LIST, "").isPresent()) {
            List<AttributeList.Entry> pieces = list(first).pieces(Attribute.DATA, "");
            for (AttributeList.Entry piece : pieces) {
                if (piece.firstVcn() > 0) {
                    append(piece(first, piece).mapping(), runs);
                    data = stream("$MFT", own.get(), runs.build());
                }
            }
        }
        requireWhole("$MFT", own.get().mapping(), data.runs());
        return data;
    }

    /**
     * @return the file record with this number
     * @throws CorruptException if there is none, it is torn, or not in use
     */
    FileRecord record(long number) throws IOException {
        FileRecord known = systemRecords.get(number);
        if (known != null) {
            return known;
        }
        if (latest != null && latest.number() == number) {
            return latest;
        }
        if (number >= data.validSize() / boot.recordSize()) {
            throw new CorruptException("$MFT: number of a record", -1,
                    "less than " + data.validSize() / boot.recordSize(), number);
        }
        long offset = number * boot.recordSize();
        FileRecord record = FileRecord.parse(data.read(offset, boot.recordSize()), number, data.position(offset));
        if (number < FileRecord.SYSTEM_RECORDS) {
            systemRecords.put(number, record);
        } else {
            latest = record;
        }
        return record;
    }

    /** @throws CorruptException also if the record has been given to another file since */
    FileRecord referenced(long reference) throws IOException {
        FileRecord record = record(FileReference.number(reference));
        if (record.sequence() != FileReference.sequence(reference)) {
            throw new CorruptException(record.describe() + ": sequence number", record.bytes().position(0),
                    FileReference.sequence(reference) + "", record.sequence());
        }
        return record;
    }

    /** @return the pieces of an attribute of a file, from the first on; empty if the file has none of that type and name */
    List<Attribute> pieces(FileRecord base, int type, String name) throws IOException {
        if (base.attribute(Attribute.ATTRIBUTE_LIST, "").isEmpty()) {
            return base.attribute(type, name).map(List::of).orElse(List.of());
        }
        List<Attribute> pieces = new ArrayList<>();
        for (AttributeList.Entry entry : list(base).pieces(type, name)) {
            pieces.add(piece(base, entry));
        }
        return pieces;
    }

    /**
     * @return a non-resident attribute with all its runs
     * @throws CorruptException if there is none, or its pieces do not join up
     */
    NtfsStream stream(FileRecord base, int type, String name) throws IOException {
        if (base.number() == FileRecord.MFT && type == Attribute.DATA && name.isEmpty()) {
            return data;
        }
        if (base.attribute(Attribute.ATTRIBUTE_LIST, "").isEmpty()) {
            return joined(base, type, base.attribute(type, name).map(List::of).orElse(List.of()), piece -> piece);
        }
        return joined(base, type, list(base).pieces(type, name), entry -> piece(base, entry));
    }

    /** How a piece is got at. */
    private interface Pieces<T> {
        Attribute get(T source) throws IOException;
    }

    /** One piece after the other, for each holds on to the record that it is in. */
    private <T> NtfsStream joined(FileRecord base, int type, List<T> sources, Pieces<T> pieces) throws IOException {
        String what = base.describe();
        Attribute first = null;
        RunList.Builder runs = new RunList.Builder();
        for (T source : sources) {
            Attribute piece = pieces.get(source);
            if (piece.isResident()) {
                throw withoutClusters(base, type, "one inside of the record");
            }
            append(piece.mapping(), runs);
            first = first == null ? piece : first;
        }
        if (first == null) {
            throw withoutClusters(base, type, "none");
        }
        NtfsStream stream = stream(what, first, runs.build());
        requireWhole(what, first.mapping(), stream.runs());
        return stream;
    }

    private static CorruptException withoutClusters(FileRecord base, int type, String found) {
        return new CorruptException(base.describe() + ": attribute " + NtfsBootSector.hex(type), base.bytes().position(0),
                "one with clusters of its own", found);
    }

    /** What is done with the streams of a file, of which but one at a time is held. */
    interface StreamUser {
        void use(NtfsStream stream) throws IOException;
    }

    /** Goes through every non-resident attribute of a file that has clusters. */
    void forEachStream(FileRecord base, StreamUser user) throws IOException {
        Map<Integer, Set<String>> names = new LinkedHashMap<>();
        base.attributes().forEach(attribute -> namesOf(attribute.type(), names).add(attribute.name()));
        boolean listed = base.attribute(Attribute.ATTRIBUTE_LIST, "").isPresent();
        if (listed) {
            list(base).entries().forEach(entry -> namesOf(entry.type(), names).add(entry.name()));
        }
        for (int type : names.keySet()) {
            for (String name : names.get(type)) {
                if (listed && type == Attribute.ATTRIBUTE_LIST) {
                    // It does not list itself.
                    Optional<NtfsStream> own = listStream(base);
                    if (own.isPresent()) {
                        user.use(own.get());
                    }
                } else if (!isResident(base, type, name)) {
                    user.use(stream(base, type, name));
                }
            }
        }
    }

    /** @return whether the content of an attribute that is there stands in a record */
    private boolean isResident(FileRecord base, int type, String name) throws IOException {
        if (base.attribute(Attribute.ATTRIBUTE_LIST, "").isEmpty()) {
            return base.attribute(type, name).orElseThrow().isResident();
        }
        List<AttributeList.Entry> entries = list(base).pieces(type, name);
        return !entries.isEmpty() && piece(base, entries.get(0)).isResident();
    }

    private static Set<String> namesOf(int type, Map<Integer, Set<String>> names) {
        return names.computeIfAbsent(type, none -> new LinkedHashSet<>());
    }

    private void append(Attribute.Mapping piece, RunList.Builder runs) throws DiskFormatException {
        if (piece.firstVcn() != runs.nextVcn()) {
            throw piece.pairs().corrupt("NTFS attribute: first cluster of a piece", 0, runs.nextVcn() + "",
                    piece.firstVcn());
        }
        DataRuns.decode(piece.pairs(), piece.endVcn(), boot.clusterCount(), runs);
    }

    /** Runs that overlap would make a small volume hold, and take the time of, streams of any length. */
    private void requireWhole(String what, Attribute.Mapping first, RunList runs) throws CorruptException {
        if (runs.placedCount() > boot.clusterCount()) {
            throw first.pairs().corrupt(what + ": clusters of all runs", 0, "at most the " + boot.clusterCount()
                    + " of the volume", runs.placedCount());
        }
        if (first.allocatedSize() != runs.clusterCount() * boot.clusterSize()) {
            throw first.pairs().corrupt(what + ": clusters of all pieces", 0, first.allocatedSize() + " bytes",
                    runs.clusterCount() * boot.clusterSize() + " bytes");
        }
    }

    private NtfsStream stream(String what, Attribute first, RunList runs) {
        return new NtfsStream(what, volume, boot.clusterSize(), runs, first.mapping().dataSize(),
                first.mapping().validSize(), first.flags());
    }

    private Attribute piece(FileRecord base, AttributeList.Entry entry) throws IOException {
        FileRecord holder = FileReference.number(entry.reference()) == base.number() ? base : referenced(entry.reference());
        if (holder != base && holder.baseReference() != base.reference()) {
            throw new CorruptException(holder.describe() + ": its base record", holder.bytes().position(0),
                    base.describe(), "record " + FileReference.number(holder.baseReference()));
        }
        Attribute found = null;
        for (Attribute attribute : holder.attributes()) {
            if (attribute.is(entry.type(), entry.name())
                    && (attribute.isResident() ? 0 : attribute.mapping().firstVcn()) == entry.firstVcn()) {
                if (found != null) {
                    throw new CorruptException(holder.describe() + ": pieces of an attribute at cluster "
                            + entry.firstVcn(), holder.bytes().position(0), "one", "several");
                }
                found = attribute;
            }
        }
        if (found == null) {
            throw new CorruptException(holder.describe() + ": piece of an attribute at cluster " + entry.firstVcn(),
                    holder.bytes().position(0), "the one that " + base.describe() + " lists", "none");
        }
        return found;
    }

    private AttributeList list(FileRecord base) throws IOException {
        if (latestListOwner != base) {
            latestList = readList(base);
            latestListOwner = base;
        }
        return latestList;
    }

    private AttributeList readList(FileRecord base) throws IOException {
        Attribute list = base.attribute(Attribute.ATTRIBUTE_LIST, "").orElseThrow();
        if (list.isResident()) {
            return AttributeList.parse(list.value());
        }
        NtfsStream stream = listStream(base).orElseThrow();
        if (stream.dataSize() > AttributeList.MAX_SIZE) {
            throw list.mapping().pairs().corrupt(stream.what() + ": size", 0, "at most " + AttributeList.MAX_SIZE,
                    stream.dataSize());
        }
        return AttributeList.parse(Bytes.littleEndian(stream.read(0, (int) stream.dataSize()), stream.position(0)));
    }

    /** @return the attribute list itself, which is always in one piece; empty if it is resident */
    private Optional<NtfsStream> listStream(FileRecord base) throws IOException {
        Attribute list = base.attribute(Attribute.ATTRIBUTE_LIST, "").orElseThrow();
        if (list.isResident()) {
            return Optional.empty();
        }
        RunList.Builder runs = new RunList.Builder();
        append(list.mapping(), runs);
        NtfsStream stream = stream("$ATTRIBUTE_LIST of " + base.describe(), list, runs.build());
        requireWhole(stream.what(), list.mapping(), stream.runs());
        return Optional.of(stream);
    }
}
