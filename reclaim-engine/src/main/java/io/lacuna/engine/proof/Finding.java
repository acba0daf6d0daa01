package io.lacuna.engine.proof;

/** What a verification comes to. */
public enum Finding {
    /** Nothing is wrong. */
    GOOD("good"),
    /** The bytes of the report are not those that were signed. */
    REPORT_CHANGED("report-changed"),
    /** The signature file is no signature of its own signer. */
    SIGNATURE_CHANGED("signature-changed"),
    /** It was signed by another key, or by one that the trusted certificates do not vouch for. */
    OTHER_KEY("other-key"),
    /** There is no signature, though a key or certificate was named. */
    NOT_SIGNED("not-signed"),
    /** The time stamp belongs to another signature, is damaged, or its authority is not trusted. */
    TIME_STAMP_WRONG("time-stamp-wrong"),
    /** The report itself tells of live bytes that differ. */
    RUN_DIFFERED("run-differed"),
    /** The image's live bytes are not those of the report. */
    IMAGE_CHANGED("image-changed"),
    /** The report has no digest of this image to compare with. */
    NOTHING_TO_COMPARE("nothing-to-compare");

    private final String word;

    Finding(String word) {
        this.word = word;
    }

    /** @return the word of the JSON document */
    public String word() {
        return word;
    }
}
