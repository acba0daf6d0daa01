/**
 * What proves a run: the digest of all live bytes, canonical reports, signatures and time stamps. Only {@code LiveDigest} is loaded
 * without a signature; Bouncy Castle is needed for everything that signs or verifies, and by nothing else.
 */
package io.lacuna.engine.proof;
