package io.lacuna.cli;

import io.lacuna.blockio.ImageLayer;
import io.lacuna.engine.ChildImage;
import io.lacuna.engine.ImageReport;
import io.lacuna.engine.ImageReport.Verdict;
import io.lacuna.engine.RunReport;
import io.lacuna.engine.VolumeReport;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** Reports as text: a table where a person looks, a line a volume in a pipe. */
final class Rendering {

    private final boolean inspect;
    private final boolean dryRun;
    private final boolean json;
    private final boolean tables;
    private final PrintStream out;

    /** @param tables whether a person sees {@code out}, so that a reclaim is shown as a table, too */
    Rendering(boolean inspect, boolean dryRun, boolean json, boolean tables, PrintStream out) {
        this.inspect = inspect;
        this.dryRun = dryRun;
        this.json = json;
        this.tables = tables;
        this.out = out;
    }

    /** Shows one image as soon as it is done; nothing if a JSON document will come at the end. */
    void image(ImageReport report) {
        if (json) {
            return;
        }
        StringBuilder text = new StringBuilder();
        if (inspect || tables) {
            appendTable(report, text);
        } else {
            appendLines(report, text);
        }
        synchronized (out) {
            out.print(text);
            out.flush();
        }
    }

    /** Shows the sums of a run with several images. */
    void summary(RunReport run) {
        if (inspect || run.images().size() < 2) {
            return;
        }
        int[] count = new int[Verdict.values().length];
        long planned = 0;
        for (ImageReport image : run.images()) {
            count[image.verdict().ordinal()]++;
            planned += image.verdict() == Verdict.RECLAIMED ? image.plannedBytes() : 0;
        }
        out.println(run.images().size() + " images: " + count[Verdict.RECLAIMED.ordinal()]
                + (run.dryRun() ? " to reclaim (" : " reclaimed (") + Sizes.show(planned) + "), "
                + count[Verdict.NOTHING_TO_RECLAIM.ordinal()] + " with nothing to reclaim, "
                + count[Verdict.REFUSED.ordinal()] + " refused, " + count[Verdict.FAILED.ordinal()] + " failed");
    }

    private static String name(ImageReport report) {
        return Text.printable(report.path().toString());
    }

    private void appendTable(ImageReport report, StringBuilder text) {
        text.append(name(report));
        if (report.format() != null) {
            text.append(": ");
            appendFormat(report, text);
        }
        text.append('\n');
        for (ImageLayer layer : report.layers()) {
            if (!layer.role().equals("image")) {
                text.append("  ").append(layer.role()).append(": ").append(Text.printable(layer.path().toString())).append(" (")
                        .append(layer.format()).append(", ").append(Sizes.show(layer.hostBytes())).append(" on the host)\n");
            }
        }
        appendChildren(report, text, "  ");
        if (!report.volumes().isEmpty()) {
            Table table = new Table(">#", ">start", ">size", "type", "label", ">used", ">free", ">reclaimable", "status");
            for (VolumeReport volume : report.volumes()) {
                boolean known = !volume.skipped();
                table.add(volume.index() == 0 ? "-" : Integer.toString(volume.index()), Sizes.show(volume.offset()),
                        Sizes.show(volume.length()), volume.type(), Text.printable(volume.label()),
                        known ? Sizes.show(volume.length() - volume.freeBytes()) : "-",
                        known ? Sizes.show(volume.freeBytes()) : "-",
                        known ? Sizes.show(volume.reclaimableBytes()) : "-", known ? "ok" : "skipped");
            }
            table.appendTo(text, "  ");
            for (VolumeReport volume : report.volumes()) {
                appendDetails(volume, text, "  ");
            }
        }
        appendOutcome(report, text, "  ");
    }

    /** A format that was probed is what a guest may have written. */
    private static void appendFormat(ImageReport report, StringBuilder text) {
        text.append(report.format()).append(" (").append(report.formatSource()).append("), ")
                .append(Sizes.show(report.virtualSize())).append(" disk");
        if (report.hostBytesBefore() >= 0) {
            text.append(", ").append(Sizes.show(report.hostBytesBefore())).append(" on the host");
        }
    }

    private void appendDetails(VolumeReport volume, StringBuilder text, String indent) {
        String name = volume.index() == 0 ? volume.type() : "volume " + volume.index();
        if (volume.skipped()) {
            text.append(indent).append(name).append(" skipped: ").append(Text.printable(volume.reason())).append('\n');
        }
        for (VolumeReport.NotReclaimable rest : volume.notReclaimable()) {
            text.append(indent).append(name).append(" keeps ").append(Sizes.show(rest.bytes())).append(" free: ")
                    .append(Text.printable(rest.why())).append('\n');
        }
        for (String remark : volume.remarks()) {
            text.append(indent).append(name).append(": ").append(Text.printable(remark)).append('\n');
        }
    }

    /** The images that are based on this one, each below its own parent and further in than it. */
    private static void appendChildren(ImageReport report, StringBuilder text, String indent) {
        Map<Path, String> indents = new HashMap<>();
        for (ChildImage child : report.children()) {
            String own = indents.containsKey(child.base()) ? indents.get(child.base()) + "  " : "";
            indents.put(child.path(), own);
            text.append(indent).append(own).append("child: ").append(Text.printable(child.path().toString())).append(" (")
                    .append(Text.printable(child.relation())).append(child.running() ? ", in use)\n" : ", not in use)\n");
        }
    }

    private void appendLines(ImageReport report, StringBuilder text) {
        String prefix = name(report) + ": ";
        if (report.format() != null) {
            text.append(prefix);
            appendFormat(report, text);
            text.append('\n');
        }
        appendChildren(report, text, prefix);
        for (VolumeReport volume : report.volumes()) {
            text.append(prefix).append(volume.index() == 0 ? "" : "volume " + volume.index() + " ").append('(')
                    .append(volume.type()).append("): ");
            if (volume.skipped()) {
                text.append("skipped: ").append(Text.printable(volume.reason()));
            } else {
                text.append(Sizes.show(volume.freeBytes())).append(" free in ").append(volume.freeExtents())
                        .append(" extents, ").append(Sizes.show(volume.reclaimableBytes())).append(" reclaimable");
                String joint = "; kept: ";
                for (VolumeReport.NotReclaimable rest : volume.notReclaimable()) {
                    text.append(joint).append(Sizes.show(rest.bytes())).append(' ').append(Text.printable(rest.why()));
                    joint = ", ";
                }
            }
            text.append('\n');
            for (String remark : volume.remarks()) {
                text.append(prefix).append(volume.index() == 0 ? "" : "volume " + volume.index() + ": ").append("note: ")
                        .append(Text.printable(remark)).append('\n');
            }
        }
        appendOutcome(report, text, prefix);
    }

    private void appendOutcome(ImageReport report, StringBuilder text, String prefix) {
        for (String remark : report.remarks()) {
            text.append(prefix).append("note: ").append(Text.printable(remark)).append('\n');
        }
        if (report.zeroBytes() > 0) {
            text.append(prefix).append(Sizes.show(report.zeroBytes())).append(" of zeros that are not free ")
                    .append(inspect || dryRun ? "would go, too" : "are given back, too").append('\n');
        }
        appendProof(report, text, prefix);
        text.append(prefix);
        switch (report.verdict()) {
            case REFUSED -> text.append(inspect ? "would be refused: " : "refused, nothing changed: ")
                    .append(Text.printable(report.reason()));
            case FAILED -> text.append("failed: ").append(Text.printable(report.reason()));
            case NOTHING_TO_RECLAIM -> text.append("nothing to reclaim");
            case RECLAIMED -> appendReclaimed(report, text);
            default -> throw new IllegalStateException(report.verdict().word());
        }
        text.append('\n');
    }

    private static void appendProof(ImageReport report, StringBuilder text, String prefix) {
        if (report.proof() != null && report.proof().before() != null && !report.differs()) {
            text.append(prefix).append("live bytes").append(report.proof().after() == null ? "" : " before and after are the same")
                    .append(": digest ").append(report.proof().before()).append('\n');
        }
    }

    private void appendReclaimed(ImageReport report, StringBuilder text) {
        boolean measured = report.hostBytesBefore() >= 0;
        if (inspect || dryRun) {
            text.append("would reclaim ").append(Sizes.show(report.plannedBytes()));
            if (measured) {
                text.append(" of ").append(Sizes.show(report.hostBytesBefore())).append(" on the host");
            }
        } else {
            text.append("reclaimed ").append(Sizes.show(measured
                    ? report.hostBytesBefore() - report.hostBytesAfter() : report.plannedBytes()));
            if (measured) {
                text.append(" (planned ").append(Sizes.show(report.plannedBytes())).append("): ")
                        .append(Sizes.show(report.hostBytesBefore())).append(" -> ")
                        .append(Sizes.show(report.hostBytesAfter())).append(" on the host");
            }
        }
        text.append(", ").append(report.elapsedMillis()).append(" ms");
    }
}
