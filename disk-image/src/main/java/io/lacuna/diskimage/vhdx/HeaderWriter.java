package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.HostFile;
import java.io.IOException;

/** Changes the headers, each time the one that is not current, so that one of them is whole at any moment. */
final class HeaderWriter {

    private final HostFile file;
    private VhdxHeader current;
    private VhdxHeader before;
    private Guid session;

    HeaderWriter(HostFile file, VhdxHeader current) {
        this.file = file;
        this.current = current;
    }

    VhdxHeader current() {
        return current;
    }

    /** Says once that the file will be changed: a new FileWriteGuid. The DataWriteGuid stays, by which children know it. */
    void open() throws IOException {
        if (session == null) {
            session = Guid.random();
            write(current.logGuid());
        }
    }

    /** Makes the log's entries with this GUID count. */
    void nameLog(Guid log) throws IOException {
        write(log);
    }

    /** Makes no entry of the log count any more. */
    void clearLog() throws IOException {
        write(Guid.ZERO);
    }

    /** Makes the header that is not current say the same, so that a damaged one brings no old log back. */
    void settle() throws IOException {
        if (before != null && !(before.logGuid().equals(current.logGuid())
                && before.fileWriteGuid().equals(current.fileWriteGuid()))) {
            write(current.logGuid());
        }
    }

    private void write(Guid log) throws IOException {
        VhdxHeader next = current.next(session, log);
        file.write(next.offset(), next.encode());
        file.sync();
        before = current;
        current = next;
    }
}
