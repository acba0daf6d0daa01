package io.lacuna.engine;

import io.lacuna.diskimage.HeldFiles;

/**
 * What the images of one run share.
 *
 * @param search knows which images belong together
 * @param held what is under this run's locks already
 */
record RunContext(ChildSearch search, HeldFiles held) {

    static RunContext ofOneImage() {
        return new RunContext(new ChildSearch(), new HeldFiles());
    }
}
