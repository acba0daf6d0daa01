package io.lacuna.engine;

import com.fasterxml.jackson.core.JsonEncoding;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.ImageLayer;
import io.lacuna.engine.proof.CanonicalJson;
import io.lacuna.engine.proof.LiveDigest;
import io.lacuna.engine.proof.LiveProof;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Instant;
import java.util.List;
import java.util.Map;

/** Writes the report document, schema {@value #SCHEMA}: UTF-8, all sizes in bytes. */
public final class ReportJson {

    public static final String SCHEMA = "lacuna.report/1";
    /** The first field of a canonical report, and its value; the schema stands in its last bytes. */
    public static final String CANONICAL = "RFC 8785";

    private ReportJson() {
    }

    /** Writes one document and flushes; the stream stays open. */
    public static void write(RunReport run, OutputStream out) throws IOException {
        write(run, null, out);
    }

    /** Writes the document of a copy: the source as the one image, with the new file as its "copy". */
    public static void write(CopyReport run, OutputStream out) throws IOException {
        write(new RunReport(false, List.of(run.source())), run.copy(), out);
    }

    /**
     * Writes the document in canonical form (RFC 8785), with every range that was discarded, and flushes; the stream stays open.
     *
     * @param signedBy who will sign it: names and values; null if nobody will
     */
    public static void writeCanonical(RunReport run, Map<String, String> signedBy, OutputStream out) throws IOException {
        ByteArrayOutputStream plain = new ByteArrayOutputStream();
        write(run, null, plain);
        Map<String, Object> document = object(CanonicalJson.parse(plain.toByteArray()));
        document.put("canonical", CANONICAL);
        document.put("signedBy", signedBy);
        List<?> images = (List<?>) document.get("images");
        for (int i = 0; i < images.size(); i++) {
            LiveProof proof = run.images().get(i).proof();
            if (proof != null) {
                // Too many to be held in any other form.
                object(object(images.get(i)).get("proof")).put("discarded", proof.discarded());
            }
        }
        CanonicalJson.write(document, out);
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> object(Object parsed) {
        return (Map<String, Object>) parsed;
    }

    private static void write(RunReport run, CopyReport.Copy copy, OutputStream out) throws IOException {
        try (JsonGenerator json = new JsonFactory().createGenerator(out, JsonEncoding.UTF8)) {
            json.disable(JsonGenerator.Feature.AUTO_CLOSE_TARGET);
            json.useDefaultPrettyPrinter();
            json.writeStartObject();
            json.writeStringField("schema", SCHEMA);
            json.writeStringField("tool", "lacuna " + Reclaimer.VERSION);
            json.writeBooleanField("dryRun", run.dryRun());
            json.writeArrayFieldStart("images");
            for (ImageReport image : run.images()) {
                writeImage(image, copy, json);
            }
            json.writeEndArray();
            json.writeEndObject();
            json.writeRaw('\n');
        }
    }

    private static void writeImage(ImageReport image, CopyReport.Copy copy, JsonGenerator json) throws IOException {
        json.writeStartObject();
        json.writeStringField("path", image.path().toString());
        json.writeStringField("format", image.format());
        json.writeStringField("formatSource", image.formatSource());
        json.writeNumberField("virtualSize", image.virtualSize());
        json.writeStringField("verdict", image.verdict().word());
        json.writeStringField("reason", image.reason());
        writeBytes(json, "hostBytesBefore", image.hostBytesBefore());
        writeBytes(json, "hostBytesAfter", image.hostBytesAfter());
        json.writeNumberField("plannedBytes", image.plannedBytes());
        json.writeNumberField("unreferencedBytes", image.unreferencedBytes());
        json.writeNumberField("zeroBytes", image.zeroBytes());
        json.writeNumberField("elapsedMillis", image.elapsedMillis());
        json.writeArrayFieldStart("layers");
        for (ImageLayer layer : image.layers()) {
            json.writeStartObject();
            json.writeStringField("role", layer.role());
            json.writeStringField("path", layer.path().toString());
            json.writeStringField("format", layer.format());
            json.writeNumberField("virtualSize", layer.virtualSize());
            writeBytes(json, "hostBytes", layer.hostBytes());
            json.writeEndObject();
        }
        json.writeEndArray();
        json.writeArrayFieldStart("children");
        for (ChildImage child : image.children()) {
            json.writeStartObject();
            json.writeStringField("path", child.path().toString());
            json.writeStringField("base", child.base().toString());
            json.writeBooleanField("running", child.running());
            json.writeStringField("relation", child.relation());
            json.writeEndObject();
        }
        json.writeEndArray();
        json.writeArrayFieldStart("volumes");
        for (VolumeReport volume : image.volumes()) {
            writeVolume(volume, image.verdict(), json);
        }
        json.writeEndArray();
        writeStrings(json, "remarks", image.remarks());
        if (image.proof() != null) {
            writeProof(image.proof(), json);
        }
        if (copy != null) {
            writeCopy(copy, json);
        }
        json.writeEndObject();
    }

    private static void writeProof(LiveProof proof, JsonGenerator json) throws IOException {
        json.writeObjectFieldStart("proof");
        json.writeStringField("digest", LiveDigest.NAME);
        json.writeStringField("before", proof.before());
        json.writeStringField("after", proof.after());
        json.writeStringField("difference", proof.difference());
        json.writeNumberField("discardedBytes", proof.discarded().totalBytes());
        json.writeNumberField("discardedExtents", proof.discarded().count());
        writeIdentity("fileBefore", proof.identityBefore(), json);
        writeIdentity("fileAfter", proof.identityAfter(), json);
        json.writeEndObject();
    }

    /** As text where a number could be larger than every reader of JSON can hold. */
    private static void writeIdentity(String name, FileIdentity identity, JsonGenerator json) throws IOException {
        if (identity == null) {
            json.writeNullField(name);
            return;
        }
        json.writeObjectFieldStart(name);
        json.writeStringField("device", (identity.device() >>> Integer.SIZE) + ":" + (int) identity.device());
        json.writeStringField("inode", Long.toUnsignedString(identity.inode()));
        json.writeNumberField("size", identity.size());
        json.writeStringField("modified", instant(identity.modifiedNanos()));
        json.writeStringField("changed", instant(identity.changedNanos()));
        json.writeEndObject();
    }

    private static String instant(long nanos) {
        return Instant.ofEpochSecond(0, nanos).toString();
    }

    private static void writeCopy(CopyReport.Copy copy, JsonGenerator json) throws IOException {
        json.writeObjectFieldStart("copy");
        json.writeStringField("path", copy.path());
        json.writeStringField("format", copy.format());
        json.writeStringField("parent", copy.parent());
        json.writeNumberField("virtualSize", copy.virtualSize());
        writeBytes(json, "hostBytes", copy.hostBytes());
        json.writeNumberField("fileLength", copy.fileLength());
        json.writeNumberField("copiedBytes", copy.copiedBytes());
        json.writeNumberField("freeBytes", copy.freeBytes());
        json.writeNumberField("zeroBytes", copy.zeroBytes());
        json.writeEndObject();
    }

    private static void writeVolume(VolumeReport volume, ImageReport.Verdict verdict, JsonGenerator json) throws IOException {
        json.writeStartObject();
        json.writeNumberField("index", volume.index());
        json.writeNumberField("offset", volume.offset());
        json.writeNumberField("length", volume.length());
        json.writeStringField("scheme", volume.scheme());
        json.writeStringField("type", volume.type());
        json.writeStringField("label", volume.label());
        json.writeStringField("status", volume.skipped() ? "skipped"
                : verdict == ImageReport.Verdict.COPIED ? "copied" : "reclaimed");
        json.writeStringField("reason", volume.reason());
        json.writeNumberField("freeBytes", volume.freeBytes());
        json.writeNumberField("reclaimableBytes", volume.reclaimableBytes());
        json.writeNumberField("freeExtents", volume.freeExtents());
        json.writeArrayFieldStart("notReclaimable");
        for (VolumeReport.NotReclaimable rest : volume.notReclaimable()) {
            json.writeStartObject();
            json.writeNumberField("bytes", rest.bytes());
            json.writeStringField("why", rest.why());
            json.writeEndObject();
        }
        json.writeEndArray();
        writeStrings(json, "evidence", volume.evidence());
        writeStrings(json, "remarks", volume.remarks());
        json.writeEndObject();
    }

    private static void writeStrings(JsonGenerator json, String name, List<String> values) throws IOException {
        json.writeArrayFieldStart(name);
        for (String value : values) {
            json.writeString(value);
        }
        json.writeEndArray();
    }

    private static void writeBytes(JsonGenerator json, String name, long bytesOrUnknown) throws IOException {
        if (bytesOrUnknown < 0) {
            json.writeNullField(name);
        } else {
            json.writeNumberField(name, bytesOrUnknown);
        }
    }
}
