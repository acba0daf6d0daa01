package io.lacuna.engine.proof;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileIdentity;

/**
 * What a report can prove of one image.
 *
 * @param discarded bytes of the virtual disk that the run discards; all others are live
 * @param before digest of the live bytes before the run ({@link LiveDigest}); null if none was asked for
 * @param after digest of the live bytes afterwards, as they are stored; null if nothing was to be compared, as in a dry run
 * @param difference what is wrong with the live bytes, in a sentence; null if nothing is known to be
 * @param identityBefore the image's own file as it was when it was opened
 * @param identityAfter the image's own file as the run left it; null in a dry run
 */
public record LiveProof(ExtentSet discarded, String before, String after, String difference, FileIdentity identityBefore,
        FileIdentity identityAfter) {

    /** @return whether live bytes are known to read otherwise than before */
    public boolean differs() {
        return difference != null;
    }
}
